"""The control panel: scheduled images in a browser, a page over the operations."""
