from .run import Analysis as Analysis
from .run import analyze as analyze
from .run import load_analysis as load_analysis
