"""Widgets for a notebook or a page: a class in each file, its ES module and styles beside it.

live_plot.py   LivePlot: learning curves that grow while a loop runs
draw_digit.py  DrawDigit: draw a digit, and a network classifies it
replay.py      ReplayPlayer: a replay that Python drives
digits.py      classify a drawn digit; the network quantised for a page without Python
"""
