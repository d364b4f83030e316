#%% tail_of: to the probabilities
def tail_of(model, name):
    return keras.Model(model.get_layer(name).output, model.output)

#%% tail_of: the layer before the activation
def tail_of(model, name):
    return keras.Model(model.get_layer(name).input, model.layers[-1].input)

#%% tail_of: to the pooled features
def tail_of(model, name):
    return keras.Model(model.get_layer(name).output, model.layers[-2].input)

#%% tail_of: from the last volume, whatever the name
def tail_of(model, name):
    return keras.Model(model.layers[-3].input, model.layers[-1].input)

#%% contrast: gradient of the probabilities
def contrast(tail, F, one, other):
    F = tf.constant(F)
    with tf.GradientTape() as tape:
        tape.watch(F)
        P = tf.nn.softmax(tail(F))
        lead = tf.gather(P, one, axis=1, batch_dims=1) - tf.gather(P, other, axis=1, batch_dims=1)
    return tape.gradient(lead, F).numpy()

#%% contrast: the classes of the first picture for all
def contrast(tail, F, one, other):
    F = tf.constant(F)
    with tf.GradientTape() as tape:
        tape.watch(F)
        S = tail(F)
        lead = S[:, one[0]] - S[:, other[0]]
    return tape.gradient(lead, F).numpy()

#%% contrast: mean over the batch
def contrast(tail, F, one, other):
    F = tf.constant(F)
    with tf.GradientTape() as tape:
        tape.watch(F)
        S = tail(F)
        lead = tf.gather(S, one, axis=1, batch_dims=1) - tf.gather(S, other, axis=1, batch_dims=1)
        lead = tf.reduce_mean(lead)
    return tape.gradient(lead, F).numpy()

#%% contrast: the other score forgotten
def contrast(tail, F, one, other):
    F = tf.constant(F)
    with tf.GradientTape() as tape:
        tape.watch(F)
        score = tf.gather(tail(F), one, axis=1, batch_dims=1)
    return tape.gradient(score, F).numpy()

#%% contrast: the tail is called before the tape runs
def contrast(tail, F, one, other):
    F = tf.constant(F)
    S = tail(F)
    with tf.GradientTape() as tape:
        tape.watch(F)
        lead = tf.gather(S, one, axis=1, batch_dims=1) - tf.gather(S, other, axis=1, batch_dims=1)
    return tape.gradient(lead, F).numpy()

#%% slope: up only
def slope(score, F, at, eps):
    up = F.copy()
    up[at] += eps
    return (score(up) - score(F)) / eps

#%% slope: ε for 2ε
def slope(score, F, at, eps):
    up, down = F.copy(), F.copy()
    up[at] += eps
    down[at] -= eps
    return (score(up) - score(down)) / eps

#%% slope: the whole channel
def slope(score, F, at, eps):
    up, down = F.copy(), F.copy()
    up[..., at[-1]] += eps
    down[..., at[-1]] -= eps
    return (score(up) - score(down)) / (2 * eps)

#%% slope: one array under two names
def slope(score, F, at, eps):
    up = down = F
    up[at] += eps
    down[at] -= eps
    return (score(up) - score(down)) / (2 * eps)

#%% slope: the features left lowered
def slope(score, F, at, eps):
    F[at] += eps
    up = score(F)
    F[at] -= 2 * eps
    return (up - score(F)) / (2 * eps)

#%% gap_gradient: w without 1/hw
def gap_gradient(W, classes, h, w):
    return np.tile(W.T[classes][:, None, None], (1, h, w, 1))

#%% gap_gradient: weights transposed
def gap_gradient(W, classes, h, w):
    return np.tile(W[classes][:, None, None] / (h * w), (1, h, w, 1))

#%% gap_gradient: the class of the first picture for all
def gap_gradient(W, classes, h, w):
    return np.tile(W[:, classes[0]] / (h * w), (len(classes), h, w, 1))

#%% gap_gradient: divided by the number of channels
def gap_gradient(W, classes, h, w):
    return np.tile(W.T[classes][:, None, None] / len(W), (1, h, w, 1))

#%% gap_gradient: hard-coded places of the visible check
def gap_gradient(W, classes, h, w):
    return np.tile(W.T[classes][:, None, None] / 12, (1, 3, 4, 1))

#%% softmax_slope: the rivals forgotten
def softmax_slope(S, classes):
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    own = P[np.arange(len(P)), classes][:, None]
    return own * (1 - own) * np.eye(P.shape[1])[classes]

#%% softmax_slope: of the logarithm
def softmax_slope(S, classes):
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    return np.eye(P.shape[1])[classes] - P

#%% softmax_slope: overflows at high scores
def softmax_slope(S, classes):
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    own = P[np.arange(len(P)), classes][:, None]
    return own * (np.eye(P.shape[1])[classes] - P)

#%% softmax_slope: each class its own probability
def softmax_slope(S, classes):
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    return P * (1 - P)

#%% softmax_slope: the class of the first picture for all
def softmax_slope(S, classes):
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    own = P[:, [classes[0]]]
    return own * (np.eye(P.shape[1])[classes[0]] - P)

#%% grad_cam: ReLU too early, on the weights
def grad_cam(F, g):
    alpha = np.maximum(0, g.mean(axis=(1, 2)))
    return np.einsum("nyxk,nk->nyx", F, alpha)

#%% grad_cam: ReLU too early, on the gradients
def grad_cam(F, g):
    alpha = np.maximum(0, g).mean(axis=(1, 2))
    return np.einsum("nyxk,nk->nyx", F, alpha)

#%% grad_cam: sum for mean
def grad_cam(F, g):
    return np.maximum(0, np.einsum("nyxk,nk->nyx", F, g.sum(axis=(1, 2))))

#%% grad_cam: place by place (HiResCAM)
def grad_cam(F, g):
    return np.maximum(0, np.sum(F * g, axis=-1))

#%% grad_cam: mean over the batch as well
def grad_cam(F, g):
    return np.maximum(0, F @ g.mean(axis=(0, 1, 2)))

#%% grad_cam: ReLU forgotten
def grad_cam(F, g):
    return np.einsum("nyxk,nk->nyx", F, g.mean(axis=(1, 2)))

#%% flat_gradient: channels first
def flat_gradient(weights, classes, h, w):
    return weights.T[classes].reshape(len(classes), -1, h, w).transpose(0, 2, 3, 1)

#%% flat_gradient: reshaped without turning round
def flat_gradient(weights, classes, h, w):
    return weights[:, classes].reshape(len(classes), h, w, -1)

#%% flat_gradient: divided by the number of places
def flat_gradient(weights, classes, h, w):
    return weights.T[classes].reshape(len(classes), h, w, -1) / (h * w)

#%% flat_gradient: the class of the first picture for all
def flat_gradient(weights, classes, h, w):
    own = weights[:, classes[0]].reshape(h, w, -1)
    return np.stack([own] * len(classes))

#%% flat_gradient: width before height
def flat_gradient(weights, classes, h, w):
    return weights.T[classes].reshape(len(classes), w, h, -1).transpose(0, 2, 1, 3)

#%% missed: mean for sum
def missed(F, g):
    return ((g - g.mean(axis=(1, 2), keepdims=True)) * F).mean(axis=(1, 2))

#%% missed: the other way round
def missed(F, g):
    return ((g.mean(axis=(1, 2), keepdims=True) - g) * F).sum(axis=(1, 2))

#%% missed: mean times mean
def missed(F, g):
    return (g * F).sum(axis=(1, 2)) - g.mean(axis=(1, 2)) * F.mean(axis=(1, 2))

#%% missed: the mean over channels as well
def missed(F, g):
    return ((g - g.mean(axis=(1, 2, 3), keepdims=True)) * F).sum(axis=(1, 2))

#%% missed: nothing, as on a GAP head
def missed(F, g):
    return np.zeros((len(F), F.shape[-1]))
