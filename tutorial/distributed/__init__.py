"""Several processes (ranks) that train together.

process_group.py  start them, join them, talk to them
split.py          each rank's part of a batch; sums of metric counts over ranks
shard.py          a network whose weights are sharded across ranks (torch's FSDP2)
"""
