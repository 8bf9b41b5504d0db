"""What command lines share: arguments, columns and formats, progress and reports."""
