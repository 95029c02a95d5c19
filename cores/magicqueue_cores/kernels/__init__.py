"""The kernels of the array core: compiled functions over one flat memory."""
