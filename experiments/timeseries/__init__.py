"""Time series at irregular times: settings, data, models, training and pictures."""
