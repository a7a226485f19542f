"""The public names of the data management are there and sorted."""

import meterspan.mdm


def test_every_exported_name_exists_and_the_list_is_sorted():
    assert meterspan.mdm.__all__ == sorted(meterspan.mdm.__all__, key=lambda name: (name[0].islower(), name))
    assert all(hasattr(meterspan.mdm, name) for name in meterspan.mdm.__all__)
