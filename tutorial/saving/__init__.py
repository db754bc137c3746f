"""Files.

parts.py         what has a state besides: generators, samplers, losses, counters
checkpoint.py    all that a training needs to go on from here
resume.py        which checkpoint a training goes on from, as one run would
export.py        the network for use elsewhere: torch.export and ONNX
runs.py          a History as a file: JSON
fingerprints.py  any object as small, plain text, to compare it with another run's
"""
