"""Files.

parts.py       what has a state besides: generators, samplers, losses, counters
checkpoint.py  all that a training needs to go on from here
export.py      the network for use elsewhere: torch.export and ONNX
"""
