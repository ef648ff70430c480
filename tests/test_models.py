import subprocess
import sys

import pytest

from antiphon import models
from antiphon.common.encoder import Encoder


def test_every_name_leads_to_an_encoder():
    assert models.list_encoders() == sorted(models.ENCODERS)
    for name in models.list_encoders():
        assert issubclass(models.encoder_class(name), Encoder)


def test_create_sets_the_name_and_the_configuration():
    encoder = models.create_encoder("ts2vec", in_channels=3, depth=2, hidden_dim=8, embedding_dim=16)
    assert encoder.name == "ts2vec"
    assert encoder.config["depth"] == 2 and encoder.embedding_dim == 16


def test_unknown_name():
    with pytest.raises(ValueError, match=r"'ts2vek' \(did you mean 'ts2vec'\?\): use one of .*resnet1d"):
        models.create_encoder("ts2vek")


def test_missing_and_unknown_arguments():
    with pytest.raises(ValueError, match=r"needs in_channels: it takes in_channels, hidden_dim=64"):
        models.create_encoder("ts2vec")
    with pytest.raises(ValueError, match=r"no argument 'hiden_dim' \(did you mean 'hidden_dim'\?\)"):
        models.create_encoder("ts2vec", in_channels=1, hiden_dim=3)
    with pytest.raises(ValueError, match="needs architecture, window"):
        models.create_encoder("tsai", in_channels=1)


def test_catalogue_imports_no_torch():
    code = "import sys, antiphon.models as m; m.list_encoders(); sys.exit('torch' in sys.modules or 'tsai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
