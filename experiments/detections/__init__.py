"""Detection: settings, data, training and pictures."""
