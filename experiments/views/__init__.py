"""What the augmentations look like: pictures, their sheet, and its document."""
