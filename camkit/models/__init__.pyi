from ._graph import HeadError as HeadError
from .backbones import TRAINED_AT as TRAINED_AT
from .backbones import backbone as backbone
from .backbones import mini as mini
from .classifier import STEP as STEP
from .classifier import class_names_of as class_names_of
from .classifier import gap_classifier as gap_classifier
from .classifier import train_head as train_head
