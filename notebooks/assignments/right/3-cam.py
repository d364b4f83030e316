#%% cut: lists of inputs and outputs
def cut(model):
    return keras.Model(inputs=[model.input], outputs=[model.get_layer("gap").input])

#%% top: a sorted list
def top(p, n):
    return sorted(range(len(p)), key=lambda c: p[c], reverse=True)[:n]

#%% own_maps: a list of maps
def own_maps(F, W, classes):
    return [volume @ W[:, c] for volume, c in zip(F, classes)]

#%% own_maps: a tensor of the backend
def own_maps(F, W, classes):
    ops = keras.ops
    return ops.einsum("nyxk,nk->nyx", F, ops.take(ops.transpose(W), classes, axis=0))

#%% interpolation: a tensor of the backend
def interpolation(n, size):
    image = keras.ops.image.resize(np.eye(n)[..., None], (size, n), interpolation="bilinear")
    return image[..., 0]

#%% enlarge: a loop
def enlarge(maps, U_y, U_x):
    return [U_y @ heat @ U_x.T for heat in maps]

#%% shade: in place
def shade(maps, low, high):
    maps -= low
    maps /= high - low
    maps[maps < 0] = 0
    maps[maps > 1] = 1
    return maps

#%% mix: the colours in place
def mix(image, colours, alpha):
    colours *= 255 * alpha
    colours += (1 - alpha) * image
    return np.rint(colours).astype("uint8")

#%% peak: as np.where gives it
def peak(heat):
    y, x = np.where(heat == heat.max())
    return x, y
