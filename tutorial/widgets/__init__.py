"""Widgets for a notebook or a page: one class in a file, its ES module and style sheet beside it."""
