#%% cut: after the pooling
def cut(model):
    return keras.Model(model.input, model.get_layer("gap").output)

#%% cut: before the last activation
def cut(model):
    return keras.Model(model.input, model.layers[model.layers.index(model.get_layer("gap")) - 1].input)

#%% cut: the model of the visible check, whatever is asked
def cut(_):
    return keras.Model(model.input, model.get_layer("gap").input)

#%% top: ascending
def top(p, n):
    return np.argsort(p)[:n]

#%% top: right classes, wrong order
def top(p, n):
    return np.argsort(p)[-n:]

#%% top: probabilities for classes
def top(p, n):
    return np.sort(p)[::-1][:n]

#%% top: unsorted classes
def top(p, n):
    return np.arange(n)

#%% own_maps: ReLU too early
def own_maps(F, W, classes):
    return np.maximum(0, np.einsum("nyxk,kn->nyx", F, W[:, classes]))

#%% own_maps: the class of the first picture for all
def own_maps(F, W, classes):
    return F @ W[:, classes[0]]

#%% own_maps: weights transposed
def own_maps(F, W, classes):
    return np.einsum("nyxk,nk->nyx", F, W[classes])

#%% own_maps: the class with the highest score
def own_maps(F, W, classes):
    maps = F @ W
    return maps[range(len(F)), ..., maps.mean(axis=(1, 2)).argmax(axis=1)]

#%% interpolation: aligned corners
def interpolation(n, size):
    return np.maximum(0, 1 - np.abs(np.linspace(0, n - 1, size)[:, None] - np.arange(n)))

#%% interpolation: not kept inside
def interpolation(n, size):
    position = (np.arange(size) + 0.5) * n / size - 0.5
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(n)))

#%% interpolation: nearest cell
def interpolation(n, size):
    return np.eye(n)[(np.arange(size) * n) // size]

#%% interpolation: without the half
def interpolation(n, size):
    position = np.clip(np.arange(size) * n / size, 0, n - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(n)))

#%% enlarge: rows and columns exchanged
def enlarge(maps, U_y, U_x):
    return U_x @ maps @ U_y.T

#%% enlarge: rows only
def enlarge(maps, U_y, U_x):
    return U_y @ maps

#%% enlarge: hard-coded result of the visible check
def enlarge(maps, U_y, U_x):
    return np.array([[[1, 4], [4, 14]]])

#%% shade: its own limits
def shade(maps, low, high):
    return (maps - maps.min()) / (maps.max() - maps.min())

#%% shade: not clipped
def shade(maps, low, high):
    return (maps - low) / (high - low)

#%% shade: low forgotten
def shade(maps, low, high):
    return np.clip(maps / high, 0, 1)

#%% mix: cut off for rounded
def mix(image, colours, alpha):
    return ((1 - alpha) * image + alpha * 255 * colours).astype("uint8")

#%% mix: α of the picture
def mix(image, colours, alpha):
    return np.rint(alpha * image + (1 - alpha) * 255 * colours).astype("uint8")

#%% mix: colours left from 0 to 1
def mix(image, colours, alpha):
    return np.rint((1 - alpha) * image + alpha * colours).astype("uint8")

#%% mix: α of a quarter for every α
def mix(image, colours, alpha):
    return np.rint(0.75 * image + 0.25 * 255 * colours).astype("uint8")

#%% peak: row before column
def peak(heat):
    return np.unravel_index(heat.argmax(), heat.shape)

#%% peak: the largest amount
def peak(heat):
    y, x = np.unravel_index(np.abs(heat).argmax(), heat.shape)
    return x, y

#%% peak: the height for the width
def peak(heat):
    return heat.argmax() % heat.shape[0], heat.argmax() // heat.shape[0]
