"""Vectors of tokenised texts by an encoder whose rows are averaged."""

import numpy as np

DIMENSION = 384


def mean_vectors(ids, batch, padding, hidden_of):
    """[texts, DIMENSION] float32, rows of length 1, in the order of `ids` (a list of token ids a text).

    `hidden_of(tokens, mask)`: int64 [rows, longest], padded with `padding` where the mask is 0, -> [rows, longest, DIMENSION].
    Batches of so many rows are sorted by length, so that little is padded.
    """
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    result = np.empty((len(ids), DIMENSION), np.float32)
    for begin in range(0, len(order), batch):
        part = order[begin:begin + batch]
        tokens = np.full((len(part), len(ids[part[0]])), padding, np.int64)
        mask = np.zeros_like(tokens)
        for row, text in enumerate(part):
            tokens[row, :len(ids[text])] = ids[text]
            mask[row, :len(ids[text])] = 1
        hidden = hidden_of(tokens, mask)
        mean = (hidden * mask[:, :, None]).sum(1)
        result[part] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return result
