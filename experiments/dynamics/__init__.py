"""What the small experiments show (crossing, primer): numbers, pictures and text, a topic a file."""
