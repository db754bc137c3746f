"""JupyterLab and Notebook 7.

server.py   the lessons, for their launcher
extension/  buttons, launcher and panels, in TypeScript, and what is built from it
"""
