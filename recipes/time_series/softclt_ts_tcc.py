"""SoftCLT on TS-TCC (Lee et al., ICLR 2024): soft contrast after every stage of the encoder.

python recipes/time_series/softclt_ts_tcc.py data.name=OSULeaf
python recipes/time_series/softclt_ts_tcc.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "time_series/softclt_ts_tcc", *sys.argv[1:]])
