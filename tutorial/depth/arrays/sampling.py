"""Images read at any places: what a spatial transformer does."""

import numpy as np


def affine_grid_generator(theta, shape, align_corners):
    """The places to which theta @ (column, row, 1) moves those of an image, from -1 to 1."""
    n, _, h, w = shape
    return (plain_grid(h, w, align_corners) @ theta.swapaxes(1, 2)).reshape(n, h, w, 2)


def affine_grid_generator_backward(d_y, shape, align_corners):
    """d_theta: the sum of d_y * (column, row, 1) over all places."""
    n, _, h, w = shape
    return d_y.reshape(n, h * w, 2).swapaxes(1, 2) @ plain_grid(h, w, align_corners)


def plain_grid(h, w, align_corners):
    """(column, row, 1) for each place of an image; its edges, or its corners, are at -1 and 1."""
    rows, columns = (np.linspace(-1, 1, n) * (1 if align_corners else (n - 1) / n) for n in (h, w))
    rows, columns = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([columns, rows, np.ones((h, w))], -1).reshape(h * w, 3)


def grid_sampler_2d(x, grid, mode, padding, align_corners):
    """x at each (column, row) of the grid: the mean of the four nearest numbers, or the nearest."""
    columns, _ = columns_or_rows(grid[..., 0], x.shape[3], padding, align_corners)
    rows, _ = columns_or_rows(grid[..., 1], x.shape[2], padding, align_corners)
    corners = nearest_numbers(x, rows, columns, mode)
    return sum(value * weight[:, None] for value, _, weight, _, _ in corners)


def grid_sampler_2d_backward(d_y, x, grid, mode, padding, align_corners, wanted=(True, True)):
    """d_x has the same weights; d_grid is how the weights change with row and column."""
    columns, d_columns = columns_or_rows(grid[..., 0], x.shape[3], padding, align_corners)
    rows, d_rows = columns_or_rows(grid[..., 1], x.shape[2], padding, align_corners)
    d_x, d_grid = np.zeros_like(x), np.zeros_like(grid)
    for value, at, weight, by_row, by_column in nearest_numbers(x, rows, columns, mode):
        np.add.at(d_x.transpose(0, 2, 3, 1), at, (d_y * weight[:, None]).transpose(0, 2, 3, 1))
        d_weight = (d_y * value).sum(1)
        d_grid += np.stack([d_weight * by_column * d_columns, d_weight * by_row * d_rows], -1)
    return d_x, d_grid


def columns_or_rows(places, size, padding, align_corners):
    """Places from -1 to 1 as columns or rows, and how fast these change with them.

    Beyond the image are zeros, its edge, or its mirror image: padding is 0, 1 or 2.
    """
    speed = (size - 1) / 2 if align_corners else size / 2
    found = (places + 1) * speed - (0 if align_corners else 0.5)
    if padding == 2:
        first, span = (0, size - 1) if align_corners else (-0.5, size)
        far = np.abs(found - first)
        back = far // (span or 1) % 2 == 1
        speed = speed * np.sign(found - first) * np.where(back, -1, 1)
        far = far % (span or 1)
        found = first + np.where(back, span - far, far)
    if padding:
        speed = speed * ((found > 0) & (found < size - 1))
        found = np.clip(found, 0, size - 1)
    return found, speed


def nearest_numbers(x, rows, columns, mode):
    """Of each of the four: its value, its place, its weight, and how that changes."""
    n = np.arange(len(x))[:, None, None]
    if mode == 1:
        corners = [(np.rint(rows), np.rint(columns), np.ones(rows.shape), 0, 0)]
    elif mode == 0:
        top, left = np.floor(rows), np.floor(columns)
        down, right = rows - top, columns - left
        corners = [
            (top, left, (1 - down) * (1 - right), right - 1, down - 1),
            (top, left + 1, (1 - down) * right, -right, 1 - down),
            (top + 1, left, down * (1 - right), 1 - right, -down),
            (top + 1, left + 1, down * right, right, down),
        ]
    else:
        raise ValueError(f"grid_sampler_2d: mode={mode}; expected 0 (bilinear) or 1 (nearest)")
    for row, column, weight, by_row, by_column in corners:
        inside = (row >= 0) & (row < x.shape[2]) & (column >= 0) & (column < x.shape[3])
        at = n, *(np.where(inside, place, 0).astype(int) for place in (row, column))
        value = x.transpose(0, 2, 3, 1)[at].transpose(0, 3, 1, 2)
        yield value, at, weight * inside, by_row * inside, by_column * inside
