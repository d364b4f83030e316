from .result import Analysis as Analysis
from .result import load_analysis as load_analysis
from .run import analyze as analyze
