def read_bands(path):
    raise NotImplementedError
