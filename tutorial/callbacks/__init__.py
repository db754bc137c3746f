"""What else happens while a model trains: save, stop early, change the learning rate, keep a log.

base.py      Callback: the hooks, and what they are told; LambdaCallback
settings.py  ProgressBar and LRScheduler: settings of the loop itself
saving.py    ModelCheckpoint
stopping.py  EarlyStopping, ReduceLROnPlateau, TerminateOnNaN
insight.py   Insight: what the network does while it learns
monitor.py   what is monitored, and when it has become better
logging.py   CSVLogger and TensorBoard
files.py     each of them writes its own file
"""

from tutorial.callbacks.base import HOOKS, Callback, LambdaCallback, overridden
from tutorial.callbacks.insight import Insight
from tutorial.callbacks.logging import CSVLogger, TensorBoard
from tutorial.callbacks.saving import ModelCheckpoint
from tutorial.callbacks.settings import LRScheduler, ProgressBar
from tutorial.callbacks.stopping import EarlyStopping, ReduceLROnPlateau, TerminateOnNaN

__all__ = [
    "HOOKS",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "Insight",
    "LRScheduler",
    "LambdaCallback",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "overridden",
]
