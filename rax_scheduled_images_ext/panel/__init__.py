"""The control panel: scheduled images in a browser, based on the operations."""
