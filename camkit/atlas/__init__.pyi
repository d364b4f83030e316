from .notebook import error_atlas as error_atlas
from .page import write_atlas as write_atlas
