"""Hyperparameters: what an optimizer was made with, under the names that the rules use.

Each is the key of its parameter group in capitals; of a pair, each part has a name. The values here
are only those with which the rules run as they stand.
"""

from typing import Any

LR: Any = 0.01
MAXIMIZE: Any = False
WEIGHT_DECAY: Any = 0.0
EPS: Any = 1e-8

MOMENTUM: Any = 0.0  # SGD, RMSprop, Muon
DAMPENING: Any = 0.0
NESTEROV: Any = False

BETA1: Any = 0.9  # Adam and its kin
BETA2: Any = 0.999
AMSGRAD: Any = False
DECOUPLED_WEIGHT_DECAY: Any = False
MOMENTUM_DECAY: Any = 4e-3  # NAdam

ALPHA: Any = 0.99  # RMSprop, ASGD
CENTERED: Any = False
LR_DECAY: Any = 0.0  # Adagrad
RHO: Any = 0.9  # Adadelta
BETA2_DECAY: Any = -0.8  # Adafactor
EPS1: Any = None
EPS2: Any = 1e-3
D: Any = 1.0
ETA_MINUS: Any = 0.5  # Rprop
ETA_PLUS: Any = 1.2
SHORTEST_STEP: Any = 1e-6
LONGEST_STEP: Any = 50.0
LAMBD: Any = 1e-4  # ASGD
T0: Any = 1e6
NS_COEFFICIENTS: Any = (3.4445, -4.775, 2.0315)  # Muon
NS_STEPS: Any = 5
ADJUST_LR_FN: Any = None

PAIRS = {
    "betas": ("BETA1", "BETA2"),
    "etas": ("ETA_MINUS", "ETA_PLUS"),
    "step_sizes": ("SHORTEST_STEP", "LONGEST_STEP"),
}


def of_group(group: dict[str, Any]) -> dict[str, tuple[Any, str, str]]:
    """The hyperparameters of a parameter group: of each its value, its key, and code for it."""
    found: dict[str, tuple[Any, str, str]] = {}
    for key, value in group.items():
        names = ("EPS1", "EPS2") if key == "eps" and isinstance(value, tuple) else PAIRS.get(key)
        for i, name in enumerate(names or ()):
            found[name] = (value[i], key, f'group["{key}"][{i}]')
        if names is None and key != "params":
            found[key.upper()] = (value, key, f'group["{key}"]')
    return found
