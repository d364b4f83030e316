from ._graph import HeadError as HeadError
from .backbones import TRAINED_AT as TRAINED_AT, backbone as backbone, mini as mini
from .classifier import (
    STEP as STEP,
    class_names_of as class_names_of,
    gap_classifier as gap_classifier,
    train_head as train_head,
)
from .imagenet import imagenet_classifier as imagenet_classifier
from .loading import load_model as load_model
