"""TS2Vec (Yue et al., AAAI 2022): hierarchical contrast over time stamps and instances.

python recipes/time_series/ts2vec.py data.name=OSULeaf
python recipes/time_series/ts2vec.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "time_series/ts2vec", *sys.argv[1:]])
