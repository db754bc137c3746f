"""JupyterLab and Notebook 7.

server.py   the lessons, for their launcher
learner/    what `make lab` leaves out of JupyterLab
extension/  buttons, launcher and panels, in TypeScript, and what is built from it
"""
