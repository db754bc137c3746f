"""Files.

parts.py       what has a state besides: generators, samplers, losses, counters
checkpoint.py  all that a training needs to go on from here
resume.py      which checkpoint a training goes on from, as one run would
runs.py        a History as a file: JSON
export.py      the network for use elsewhere: torch.export and ONNX
"""
