#%% tail_of: lists of inputs and outputs
def tail_of(model, name):
    return keras.Model([model.get_layer(name).output], [model.layers[-1].input])

#%% contrast: a tensor
def contrast(tail, F, one, other):
    C = tail.output_shape[-1]
    F = tf.Variable(F)
    with tf.GradientTape() as tape:
        lead = tf.reduce_sum(tail(F) * (tf.one_hot(one, C) - tf.one_hot(other, C)))
    return tape.gradient(lead, F)

#%% slope: in place, and back
def slope(score, F, at, eps):
    before = F[at]
    F[at] = before + eps
    above = score(F)
    F[at] = before - eps
    below = score(F)
    F[at] = before
    return (above - below) / (2 * eps)

#%% gap_gradient: a view that cannot be written to
def gap_gradient(W, classes, h, w):
    rows = (W / (h * w)).T[classes][:, None, None]
    return np.broadcast_to(rows, (len(classes), h, w, len(W)))

#%% softmax_slope: with SciPy's softmax
from scipy.special import softmax

def softmax_slope(S, classes):
    P = softmax(S, axis=1)
    rows = np.arange(len(P))
    slope = -P * P[rows, classes][:, None]
    slope[rows, classes] += P[rows, classes]
    return slope

#%% softmax_slope: loops, a list
def softmax_slope(S, classes):
    rows = []
    for scores, c in zip(S, classes):
        P = np.exp(scores - max(scores))
        P /= P.sum()
        rows.append([P[c] * ((j == c) - P[j]) for j in range(len(P))])
    return rows

#%% grad_cam: in place
def grad_cam(F, g):
    F *= g.mean(axis=(1, 2), keepdims=True)
    maps = F.sum(axis=-1)
    maps[maps < 0] = 0
    return maps

#%% grad_cam: a tensor
def grad_cam(F, g):
    weights = g.mean(axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(F * weights, axis=-1))

#%% flat_gradient: a view, a list
def flat_gradient(weights, classes, h, w):
    return [weights[:, c].reshape(h, w, -1) for c in classes]

#%% missed: in place
def missed(F, g):
    g -= g.mean(axis=(1, 2), keepdims=True)
    F *= g
    return F.sum(axis=(1, 2))

#%% slope: a row of one
def slope(score, F, at, eps):
    step = np.zeros(F.shape)
    step[at] = eps
    return np.array([(score(F + step) - score(F - step)) / (2 * eps)])

#%% grad_cam: a lambda, a list
grad_cam = lambda F, g: [np.clip(f @ a.mean(axis=(0, 1)), 0, None) for f, a in zip(F, g)]

#%% contrast: a Jacobian matrix
def contrast(tail, F, one, other):
    x = tf.convert_to_tensor(F)
    with tf.GradientTape() as tape:
        tape.watch(x)
        S = tail(x)
    J = tape.batch_jacobian(S, x).numpy()
    rows = np.arange(len(F))
    return J[rows, one] - J[rows, other]

#%% slope: a bump
def slope(score, F, at, eps):
    bump = np.zeros_like(F)
    np.put(bump, np.ravel_multi_index(at, F.shape), eps)
    return np.float64(score(F + bump) - score(F - bump)) / (eps + eps)

#%% softmax_slope: a tape
def softmax_slope(S, classes):
    S = tf.constant(S)
    with tf.GradientTape() as tape:
        tape.watch(S)
        P = tf.gather(tf.nn.softmax(S), classes, batch_dims=1)
    return tape.gradient(P, S)

#%% grad_cam: a generator
def grad_cam(F, g):
    for f, grad in zip(F, g):
        yield np.maximum(np.tensordot(f, grad.mean((0, 1)), axes=1), 0)

#%% missed: tables
def missed(F, g):
    import pandas as pd
    B, h, w, K = F.shape
    index = np.repeat(np.arange(B), h * w)
    a, c = (pd.DataFrame(one.reshape(-1, K)) for one in (F, g))
    return (a * (c - c.groupby(index).transform("mean"))).groupby(index).sum()
