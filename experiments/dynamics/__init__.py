"""Numbers, pictures and text of the small experiments (crossing, primer), a topic a file."""
