from ._graph import HeadError as HeadError
from .classifier import (
    backbone as backbone,
)
from .classifier import (
    gap_classifier as gap_classifier,
)
from .classifier import (
    train_head as train_head,
)
