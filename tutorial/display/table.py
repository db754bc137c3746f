"""A table in lines of characters."""


def aligned(table: list[list[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell.

    Example:
        >>> aligned([["epoch", "loss"], ["1", "2.100"]])
        ['epoch   loss', '    1  2.100']
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.rjust, row, widths)) for row in table]
