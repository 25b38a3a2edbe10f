"""Labelled arrays as a netCDF file."""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..measures import Artifact
from .files import replace_file

_NO_VALUES = b"This is a netCDF dimension but not a netCDF variable"
"""How netCDF marks a dimension that has a length and no coordinates."""
_TEXTS = {"unit": "units", "long_name": "long_name"}


def write_arrays(
    path: pathlib.Path,
    arrays: Mapping[str, Artifact],
    attributes: Mapping[str, str],
    axes: Mapping[str, Mapping[str, str]],
) -> str:
    """Writes a file, replaced whole; units and long names, of `axes` as given, are attributes. Returns its checksum."""
    import xarray as xr

    coordinates = {dim: np.asarray(values) for one in arrays.values() for dim, values in one.coords.items()}
    data = {name: (one.dims, one.value, _texts(one)) for name, one in arrays.items()}
    dataset = xr.Dataset(data, coordinates, attributes)
    for name, texts in axes.items():
        dataset[name].attrs.update(texts)
    content = bytes(dataset.to_netcdf(engine="h5netcdf"))
    replace_file(path, lambda file: file.write(content))
    return hashlib.sha256(content).hexdigest()


def _texts(one: Artifact) -> dict[str, str]:
    return {name: text for field, name in _TEXTS.items() if (text := getattr(one, field))}


def read_arrays(path: pathlib.Path) -> dict[str, Artifact]:
    """The variables of a file, without its coordinates; by h5py, which takes a tenth of xarray's time."""
    import h5py

    with h5py.File(path) as file:
        variables = {name: one for name, one in file.items() if isinstance(one, h5py.Dataset)}  # a complex type is none
        along = {name: _values(one) for name, one in variables.items() if one.is_scale}
        return {name: _artifact(one, along) for name, one in variables.items() if not one.is_scale}


def _artifact(variable: Any, along: Mapping[str, tuple[Any, ...] | None]) -> Artifact:
    # netCDF has no booleans; xarray writes bytes, and says so
    value = variable[()].astype(bool) if variable.attrs.get("dtype") == "bool" else variable[()]
    dims = tuple(axis[0].name.rpartition("/")[2] for axis in variable.dims)
    coords = {dim: values for dim in dims if (values := along[dim]) is not None}
    return Artifact(value, dims, coords, **{field: str(variable.attrs.get(name, "")) for field, name in _TEXTS.items()})


def _values(scale: Any) -> tuple[Any, ...] | None:
    """The coordinates along a dimension; None if it has none."""
    import h5py

    if scale.attrs["NAME"].startswith(_NO_VALUES):
        return None
    return tuple((scale.asstr()[()] if h5py.check_string_dtype(scale.dtype) else scale[()]).tolist())
