"""For Jupyter: a cell with its calls unrolled.

magics.py  %load_ext tutorial: %%unroll, %%replay and %tl_check
cell/      a cell with its calls unrolled, and the proof that both do the same
lab/       buttons, launcher and panels for JupyterLab and Notebook 7
"""
