"""The images of a cloud, through its image service or compute's proxy of one."""
