#%% pool: sum for mean
def pool(F):
    return F.sum(axis=(1, 2))

#%% pool: global max pooling
def pool(F):
    return F.max(axis=(1, 2))

#%% pool: channels averaged, places kept
def pool(F):
    return F.mean(axis=-1)

#%% pool: divides by 4 whatever the size
def pool(F):
    return F.sum(axis=(1, 2)) / 4

#%% pool: hard-coded result of the visible check
def pool(F):
    return np.array([[4.5, 5.5, 6.5]])

#%% scores: bias forgotten
def scores(f, W, b):
    return f @ W

#%% scores: weights transposed
def scores(f, W, b):
    return f @ W.T + b

#%% scores: mean over the channels for their sum
def scores(f, W, b):
    return (f[:, :, None] * W).mean(axis=1) + b

#%% scores: one picture only
def scores(f, W, b):
    return (f[0] @ W + b)[None]

#%% softmax: divides by the sum over all pictures
def softmax(S):
    return np.exp(S) / np.exp(S).sum()

#%% softmax: overflows at high scores
def softmax(S):
    return np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)

#%% softmax: takes away the highest score of all pictures
def softmax(S):
    e = np.exp(S - S.max())
    return e / e.sum(axis=1, keepdims=True)

#%% softmax: clips the scores
def softmax(S):
    e = np.exp(np.clip(S, -50, 50))
    return e / e.sum(axis=1, keepdims=True)

#%% softmax: along the wrong axis
def softmax(S):
    e = np.exp(S - S.max(axis=0))
    return e / e.sum(axis=0)

#%% class_maps: ReLU too early
def class_maps(F, W):
    return np.maximum(0, F @ W)

#%% class_maps: weights transposed
def class_maps(F, W):
    return F @ W.T

#%% class_maps: divided by the number of places
def class_maps(F, W):
    return F @ W / (F.shape[1] * F.shape[2])

#%% class_maps: rows and columns exchanged
def class_maps(F, W):
    return np.einsum("nyxk,kc->nxyc", F, W)

#%% scores_of_maps: sum for mean
def scores_of_maps(M, b):
    return M.sum(axis=(1, 2)) + b

#%% scores_of_maps: bias forgotten
def scores_of_maps(M, b):
    return M.mean(axis=(1, 2))

#%% scores_of_maps: ReLU before the mean
def scores_of_maps(M, b):
    return np.maximum(M, 0).mean(axis=(1, 2)) + b

#%% from_sum_head: divides for multiplies
def from_sum_head(weights, h, w):
    return weights.T / (h * w)

#%% from_sum_head: left as PyTorch keeps it
def from_sum_head(weights, h, w):
    return weights * h * w

#%% from_sum_head: reshaped for transposed
def from_sum_head(weights, h, w):
    return weights.reshape(weights.shape[::-1]) * h * w

#%% log_odds: biases forgotten
def log_odds(M, b, one, other):
    return (M[..., one] - M[..., other]).mean(axis=(1, 2))

#%% log_odds: the other way round
def log_odds(M, b, one, other):
    return (M[..., other] - M[..., one]).mean(axis=(1, 2)) + b[other] - b[one]

#%% log_odds: always the first two classes
def log_odds(M, b, one, other):
    return (M[..., 0] - M[..., 1]).mean(axis=(1, 2)) + b[0] - b[1]

#%% log_odds: ReLU before the difference
def log_odds(M, b, one, other):
    M = np.maximum(M, 0)
    return (M[..., one] - M[..., other]).mean(axis=(1, 2)) + b[one] - b[other]

#%% for_and_against: each side averaged over its own places
def for_and_against(M):
    above, below = (M.sum(axis=(1, 2), where=side) / side.sum(axis=(1, 2)) for side in (M > 0, M < 0))
    return above, below

#%% for_and_against: against without its sign
def for_and_against(M):
    return np.maximum(M, 0).mean(axis=(1, 2)), np.maximum(-M, 0).mean(axis=(1, 2))

#%% for_and_against: sums for means
def for_and_against(M):
    return np.maximum(M, 0).sum(axis=(1, 2)), np.minimum(M, 0).sum(axis=(1, 2))
