#%% pool: loops, a nested list
def pool(F):
    return [[float(volume[..., k].mean()) for k in range(volume.shape[-1])] for volume in F]

#%% pool: a tensor of the backend
def pool(F):
    import keras

    return keras.ops.mean(F, axis=(1, 2))

#%% scores: transposed, float32
def scores(f, W, b):
    return (np.dot(W.T, f.T) + b[:, None]).T.astype("float32")

#%% softmax: SciPy's
import scipy.special

def softmax(S):
    return scipy.special.softmax(S, axis=1)

#%% softmax: TensorFlow's
import tensorflow as tf

def softmax(S):
    return tf.nn.softmax(S)

#%% softmax: in place
def softmax(S):
    S -= S.max(axis=1, keepdims=True)
    np.exp(S, out=S)
    S /= S.sum(axis=1, keepdims=True)
    return S

#%% class_maps: a convolution of Keras
def class_maps(F, W):
    import keras

    layer = keras.layers.Conv2D(W.shape[1], 1, use_bias=False)
    layer.build(F.shape)
    layer.set_weights([W[None, None]])
    return layer(F)

#%% scores_of_maps: a table
def scores_of_maps(M, b):
    import pandas as pd

    return pd.DataFrame(M.mean(axis=(1, 2)) + b)

#%% from_sum_head: in place, and a view
def from_sum_head(weights, h, w):
    weights *= h * w
    return weights.T

#%% log_odds: by way of probabilities, a list
def log_odds(M, b, one, other):
    P = softmax(scores_of_maps(M, b))
    return [float(np.log(row[one]) - np.log(row[other])) for row in np.asarray(P)]

#%% for_and_against: in place, a list
def for_and_against(M):
    above = M.clip(0, None)
    M[M > 0] = 0
    return [above.mean(axis=(1, 2)), M.mean(axis=(1, 2))]
