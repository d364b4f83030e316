from .notebook import error_atlas as error_atlas
from .page import write_atlas as write_atlas
from .playground import write_playground as write_playground
from .review import Applied as Applied, Review as Review, load_verdicts as load_verdicts
