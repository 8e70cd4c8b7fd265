def augmented(keys, images, names):
    return images


def require_channels(names, channels):
    pass
