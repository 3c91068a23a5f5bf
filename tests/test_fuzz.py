"""What hypothesis makes of files from elsewhere: each reader refuses them in one line, or reads them right.

The same examples every time. FUZZ_EXAMPLES=5000 pytest tests/test_fuzz.py is a longer session.
"""

import contextlib
import copy
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from betavae import checkpoint, dataset, factors, representation
from betavae.codes import StoredCodes
from betavae.config import check
from betavae.errors import UserError
from betavae.images import open_bits, open_grid
from betavae.models import load_model
from betavae.stacked import initialise
from betavae.systems import system_of
from conftest import CONFIG
from test_dataset import arrays_of_an_original, save_original

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
bounded = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
IMAGES = 12
# A product grid of 12 images: small enough to be drawn anew for each example.
VALUES = {
    "shape": np.array([1.0, 2.0, 3.0]),
    "scale": np.array([1.0]),
    "orientation": np.array([0.0]),
    "posX": np.array([0.0, 1.0]),
    "posY": np.array([0.0, 1.0]),
}
CHECKPOINT = checkpoint.Checkpoint(7, {"network.a": torch.arange(6.0).view(2, 3)}, {"steps": [5], "summed": 2})
MADE_BY = {"settings": "{}", "code": "0123456789ab"}
SETTINGS = {"system": "vae", "beta": 4.0, "latents": 2, "seeds": [0, 1], "width": 3}


@pytest.fixture(scope="module", autouse=True)
def _tiny_originals():
    """For this module, the full grid is VALUES."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factors, "FULL_VALUES", VALUES)
        patch.setattr("test_dataset.SMALL_VALUES", VALUES)
        patch.setattr("test_dataset.SMALL_SIZES", tuple(len(values) for values in VALUES.values()))
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# Bytes of valid files, changed -----------------------------------------------------------------------

edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "zero", "ones", "text", "cut", "insert", "move"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=4,
)


def edited(whole: bytes, changes) -> bytes:
    """The bytes with some of them flipped, overwritten, cut off, inserted or copied to elsewhere."""
    content = bytearray(whole)
    for kind, at, other, length in changes:
        first = int(at * len(content))
        part = slice(first, first + length)
        if kind == "flip":
            content[first : first + 1] = bytes(byte ^ (1 << length % 8) for byte in content[first : first + 1])
        elif kind == "cut":
            del content[first:]
        elif kind == "move":
            start = int(other * len(content))
            content[part] = content[start : start + length]
        else:
            filled = {"zero": b"\0", "ones": b"\xff", "text": b"9", "insert": b"\x01"}[kind] * length
            content[first : first if kind == "insert" else part.stop] = filled
    return bytes(content)


def refused_or(read):
    """What `read` gives, or None where it refuses in one line that a person can read."""
    try:
        return read()
    except UserError as error:
        said = " ".join(str(error).split())
    assert 10 < len(said) < 2000
    return None


def valid(place: Path, name: str) -> bytes:
    """A file of this kind that its reader takes; the same bytes every time."""
    path = place / f"valid_{name}"
    if name in ("original.h5", "original.npz"):
        save_original(path, arrays_of_an_original())
    elif name == "dsprites.h5":
        with h5py.File(path, "w") as file:
            file.attrs.update({f"{factor}_values": values for factor, values in VALUES.items()})
    elif name == "bits.npy":
        np.save(path, np.zeros((IMAGES, 512), np.uint8))
    elif name == "codes.h5":
        with h5py.File(path, "w") as file:
            for array in ("mean", "logvar"):
                file[array] = np.random.default_rng(0).normal(size=(2, IMAGES, 3)).astype(np.float32)
            file["group"] = [0, 1]
            file.attrs["settings"] = "{}"
    elif name == "checkpoint.safetensors":
        checkpoint.write(path, CHECKPOINT, MADE_BY)
    else:
        save_model(path, SETTINGS)
    return path.read_bytes()


def save_model(path: Path, said) -> None:
    network = system_of(SETTINGS).network_of(SETTINGS)
    initialise(network, SETTINGS["seeds"])
    tensors = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path, metadata={"settings": json.dumps(said)})


def right_original(path: Path) -> None:
    images = refused_or(lambda: np.concatenate(list(dataset.original_blocks(path, {}))))
    if images is not None:
        assert (images.shape, images.dtype) == ((IMAGES, 64, 64), np.uint8)
        expected = np.concatenate(list(dataset.rendered_blocks(factors.FactorGrid.thinned({}))))
        assert (images != expected).sum((1, 2)).max() <= dataset.TOLERANCE


def right_grid(path: Path) -> None:
    grid = refused_or(lambda: open_grid(path))
    if grid is not None:
        assert 1 <= grid.images <= IMAGES
        assert all(
            np.isin(values, VALUES[name]).all() for name, values in zip(factors.FACTORS, grid.values, strict=True)
        )


def right_bits(path: Path) -> None:
    bits = refused_or(lambda: open_bits(path, IMAGES))
    if bits is not None:
        assert (bits.shape, bits.dtype) == ((IMAGES, 512), np.uint8)
        assert bits.sum() >= 0  # every page can be read


def right_codes(path: Path) -> None:
    stored = refused_or(lambda: StoredCodes(path, IMAGES))
    for replica in range(min(stored.replicas, 3)) if stored else ():
        codes = refused_or(lambda replica=replica: stored.codes(replica))
        assert codes is None or (codes.dtype == np.float32 and codes.ndim == 2 and len(codes) == IMAGES)
        logvar = refused_or(lambda replica=replica: stored.logvar(replica))
        assert logvar is None or codes is None or logvar.shape == codes.shape
    if stored:
        stored._file.close()


def right_own(path: Path) -> None:
    data, codes = path.parent / "valid_dsprites.h5", path.parent / "own.h5"
    codes.unlink(missing_ok=True)
    chosen = json.dumps({"scale": "tiny", "grid": "small"})

    def step() -> bool:
        representation.main(representation=path, dataset=data, codes=codes, settings=chosen)
        return True

    assert bool(refused_or(step)) == codes.exists()
    if codes.exists():
        with h5py.File(codes) as file:
            assert np.isfinite(file["mean"][:]).all()


def right_model(path: Path) -> None:
    read = refused_or(lambda: load_model(path, torch.device("cpu")))
    if read is not None:
        network, said = read
        shape = (len(said["seeds"]), 5, network.latents)
        mean, _ = network.encode_lit(torch.zeros(5, 3), torch.arange(3))
        assert tuple(mean.shape) == shape


def right_checkpoint(path: Path) -> None:
    found = None
    with contextlib.suppress(checkpoint.NotUsable):
        found = checkpoint.read(path, MADE_BY)
    if found is None:
        return
    assert isinstance(found.step, int)
    assert found.step >= 0
    assert isinstance(found.notes, dict)
    assert all(isinstance(tensor, torch.Tensor) for tensor in found.tensors.values())


READERS = {
    "original.h5": [right_original],
    "original.npz": [right_original],
    "dsprites.h5": [right_grid],
    "bits.npy": [right_bits],
    "codes.h5": [right_codes, right_own],
    "beta4.safetensors": [right_model],
    "checkpoint.safetensors": [right_checkpoint],
}


@pytest.mark.parametrize("name", READERS)
def test_valid_files_are_read(place, name):
    (place / name).write_bytes(valid(place, name))
    valid(place, "dsprites.h5")
    reads = {
        "original.h5": lambda path: list(dataset.original_blocks(path, {})),
        "original.npz": lambda path: list(dataset.original_blocks(path, {})),
        "dsprites.h5": open_grid,
        "bits.npy": open_bits,
        "codes.h5": lambda path: StoredCodes(path, IMAGES).logvar(1),
        "beta4.safetensors": lambda path: load_model(path, torch.device("cpu")),
        "checkpoint.safetensors": lambda path: checkpoint.read(path, MADE_BY),
    }
    assert reads[name](place / name) is not None
    for right in READERS[name]:
        right(place / name)


@pytest.mark.parametrize("name", READERS)
def test_changed_bytes(place, name):
    whole = valid(place, name)
    valid(place, "dsprites.h5")
    ending = Path(name).suffix

    @bounded
    @given(changes=edits)
    def fuzz(changes):
        path = place / f"changed{ending}"
        path.write_bytes(edited(whole, changes))
        for right in READERS[name]:
            right(path)

    fuzz()


# Valid files of the wrong content --------------------------------------------------------------------

DTYPES = ["f2", "f4", "f8", ">f4", "longdouble", "c8", "i1", "u8", "?", "S3", "V2", [("a", "f4")], h5py.string_dtype(),
          h5py.vlen_dtype(np.float32), h5py.enum_dtype({"a": 1}), h5py.ref_dtype]  # fmt: skip
arrays = st.tuples(
    st.sampled_from(DTYPES),
    st.lists(st.sampled_from([0, 1, 2, 3, IMAGES, IMAGES + 1]), max_size=4),
    st.sampled_from(["plain", "chunked", "gzip", "scalar offset", "group", "soft link", "external link", "fill NaN"]),
)


def put(file, name, array) -> None:
    """Write something under a name, as odd as HDF5 allows."""
    dtype, shape, layout = array
    dtype = np.dtype(dtype) if not isinstance(dtype, np.dtype) else dtype
    if layout == "group":
        file.create_group(name)
    elif layout == "soft link":
        file[name] = h5py.SoftLink(f"/{name}")
    elif layout == "external link":
        file[name] = h5py.ExternalLink("/etc/hostname", "/mean")
    else:
        options = {"chunks": True} if shape and all(shape) and layout in ("chunked", "gzip") else {}
        options |= {"compression": "gzip"} if options and layout == "gzip" else {}
        options |= {"fillvalue": np.nan} if layout == "fill NaN" and dtype.kind == "f" else {}
        data = file.create_dataset(name, shape, dtype, **options)
        if data.size and dtype.kind in "fiu" and layout == "scalar offset":
            data[...] = np.arange(data.size).reshape(shape).astype(dtype)


@bounded
@given(mean=arrays, others=st.dictionaries(st.sampled_from(["logvar", "group", "more"]), arrays, max_size=3))
def test_codes_of_odd_shapes_and_types(place, mean, others):
    valid(place, "dsprites.h5")
    path = place / "odd.h5"
    with h5py.File(path, "w") as file:
        for name, array in {"mean": mean, **others}.items():
            put(file, name, array)
    right_codes(path)
    right_own(path)


@bounded
@given(
    odd=st.dictionaries(st.sampled_from(["imgs", "latents/values", "latents/classes"]), arrays, min_size=1, max_size=3)
)
def test_originals_with_odd_arrays(place, odd):
    path = place / "odd_original.h5"
    whole = {name.replace("latents_", "latents/"): array for name, array in arrays_of_an_original().items()}
    with h5py.File(path, "w") as file:
        for name, array in whole.items():
            if name in odd:
                put(file, name, odd[name])
            else:
                file[name] = array
    right_original(path)


numbers = st.one_of(st.floats(width=64), st.integers(-(2**70), 2**70), st.booleans())
plain = st.recursive(
    st.one_of(st.none(), numbers, st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=3)
    ),
    max_leaves=6,
)


@bounded
@given(
    order=st.permutations(list(VALUES)),
    odd=st.dictionaries(st.sampled_from(list(VALUES)), st.one_of(st.lists(st.floats(), max_size=4), st.text("ab"))),
)
def test_attributes_shuffled_and_odd(place, order, odd):
    path = place / "attributes.h5"
    with h5py.File(path, "w") as file:
        for name, source in zip(VALUES, order, strict=True):
            file.attrs[f"{name}_values"] = odd.get(name, VALUES[source])
    right_grid(path)


@bounded
@given(
    key=st.sampled_from([*SETTINGS, "other"]), value=plain, system=st.sampled_from(["vae", "dcign", "infogan", "os"])
)
def test_models_of_odd_settings(place, key, value, system):
    path = place / "odd.safetensors"
    save_model(path, SETTINGS | {"system": system} | {key: value})
    right_model(path)


@bounded
@given(
    said=st.dictionaries(
        st.sampled_from(["step", "notes", "made_by", "checksum", "other"]),
        st.one_of(st.text(max_size=12), plain.map(lambda value: json.dumps(value, default=str))),
        max_size=3,
    ),
    fits=st.booleans(),
)
def test_checkpoints_of_odd_headers(place, said, fits):
    path = place / "odd.safetensors"
    header = {"step": "7", "notes": json.dumps(CHECKPOINT.notes), "made_by": json.dumps(MADE_BY)} | said
    if fits:
        header.pop("checksum", None)
        header["checksum"] = checkpoint.checksum(CHECKPOINT.tensors, header)
    save_file(CHECKPOINT.tensors, path, metadata=header)
    right_checkpoint(path)


# The config ------------------------------------------------------------------------------------------


def right_config(config) -> None:
    try:
        checked, said = check(config), ""
    except UserError as error:
        checked, said = None, str(error)
    if checked is None:
        assert said.startswith("config: ")
        assert "\n" not in said
    else:
        assert check(checked) == checked
        assert checked["scale"] in checked["scales"]


def paths(node, above=()):
    """Where there is a value in a nested config, as tuples of keys and indices."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from paths(value, (*above, key))


@bounded
@given(data=st.data())
def test_configs_with_odd_values_and_keys(data):
    config = copy.deepcopy(CONFIG)
    for _ in range(data.draw(st.integers(1, 2))):
        *above, last = data.draw(st.sampled_from(list(paths(config))))
        node = config
        for key in above:
            node = node[key]
        if isinstance(node, dict) and data.draw(st.booleans()):
            last = data.draw(st.one_of(st.text(max_size=8), st.integers(), st.none(), st.booleans()))
        node[last] = data.draw(plain)
    right_config(config)


@bounded
@given(changes=edits)
def test_config_files_with_changed_bytes(changes):
    whole = (Path(__file__).parent / "tiny.yaml").read_bytes()
    base = copy.deepcopy(CONFIG)
    try:
        read = yaml.safe_load(edited(whole, changes))
    except (yaml.YAMLError, ValueError):
        return  # Snakemake's to refuse
    if isinstance(read, dict):
        right_config(base | read)
