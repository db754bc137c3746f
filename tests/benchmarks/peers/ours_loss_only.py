"""tutorial without a metric: the same as the limit reports, or less."""

import ours


class Contender(ours.Contender):
    metrics = False
