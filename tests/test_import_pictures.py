"""The importers, on archives made here as the authors make theirs, and on hostile ones."""

import contextlib
import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from PIL import Image

from betavae import import_pictures, picture_files
from betavae.errors import UserError
from betavae.picture_files import BYTES, Broken, opened, small
from betavae.picture_set import describe, open_factors, open_images
from betavae.picture_sources import SOURCES, source_path

CHAIRS = ("1028b32dc1873c2afe26a3ac360dbd4", "2a0e0ca8ad0b3f6a7b4a1f1e0ee7a3b")
VIEWS = [(elevation, azimuth) for elevation in (20, 30) for azimuth in (0, 11, 349)]


def encoded(image, kind):
    """The bytes of an image (height, width[, 3]) uint8 as PNG or JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


def portrait(shade):
    """178 × 218 as CelebA's: `shade` in the middle 148 × 148, another colour around it."""
    image = np.full((218, 178, 3), (0, 0, 255), np.uint8)
    image[35:183, 15:163] = shade
    return image


def celeba_members(count=5):
    """img_align_celeba.zip: a folder's entry and numbered JPEGs, each of a colour of its own."""
    shades = {number: (10 * number, 100, 200 - 10 * number) for number in range(1, count + 1)}
    return shades, {f"img_align_celeba/{n:06d}.jpg": encoded(portrait(s), "JPEG") for n, s in shades.items()}


def chair(number, elevation, azimuth):
    """600 × 600 on white, a grey square in the middle that tells the picture."""
    image = np.full((600, 600, 3), 255, np.uint8)
    image[200:400, 200:400] = 60 * number + elevation + azimuth % 40
    return image


def chair_members():
    """rendered_chairs.tar: for each chair a folder of renders, and the names in a MATLAB file beside them."""
    members = {"rendered_chairs/all_chair_names.mat": b"MATLAB 5.0 MAT-file" + bytes(100)}
    for number, name in enumerate(CHAIRS):
        for at, (elevation, azimuth) in enumerate(VIEWS, start=1):
            view = f"image_{at:03d}_p{elevation:03d}_t{azimuth:03d}_r096.png"
            members[f"rendered_chairs/{name}/renders/{view}"] = encoded(chair(number, elevation, azimuth), "PNG")
    return members


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("img_align_celeba")
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def write_folder(path, members):
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def imported(folder, name, source, **settings):
    """Run the step: images and the path of images.h5."""
    h5, npy = folder / "out" / "images.h5", folder / "out" / "images.npy"
    settings = {"broken": 0, "threads": 2} | settings
    import_pictures.main(name=name, source=source, h5=h5, npy=npy, **settings)
    return open_images(npy), h5


# What the authors publish ------------------------------------------------------------------------------


def test_celeba_as_zip_or_folder_is_cropped_reduced_and_in_order(tmp_path):
    shades, members = celeba_members()
    zipped = write_zip(tmp_path / "img_align_celeba.zip", members)
    unpacked = write_folder(tmp_path / "unpacked", members)
    images, h5 = imported(tmp_path, "celeba", zipped, crop=148)
    assert images.shape == (5, 64, 64, 3)
    np.testing.assert_allclose(images.mean(axis=(1, 2)), list(shades.values()), atol=2)  # no blue rim is left
    assert open_factors(h5) is None
    assert describe(h5)["source"] == "celeba: img_align_celeba.zip, 0 left out"
    for folder in (unpacked, unpacked / "img_align_celeba"):
        again, _ = imported(tmp_path / folder.name, "celeba", folder, crop=148)
        np.testing.assert_array_equal(again, images)


def test_the_crop_is_a_square_from_the_middle(tmp_path):
    source = write_zip(tmp_path / "img_align_celeba.zip", celeba_members(1)[1])
    largest, h5 = imported(tmp_path, "celeba", source)  # 178: 15 pixels of blue on either side are 5.4 of 64
    assert (largest[0, :, [0, 4, 59, 63], 2] > 240).all()
    assert (largest[0, 10:54, [7, 56], 2] < 200).all()
    assert "the largest size" in describe(h5)["preprocessing"]


def test_chairs_as_tar_or_folder_have_one_channel_and_the_factors_of_their_names(tmp_path):
    members = chair_members()
    images, h5 = imported(tmp_path, "chairs", write_tar(tmp_path / "rendered_chairs.tar", members), crop=400)
    assert images.shape == (12, 64, 64, 1)
    assert (images[:, 0, 0, 0] == 255).all()
    expected = [60 * number + elevation + azimuth % 40 for number in range(2) for elevation, azimuth in VIEWS]
    np.testing.assert_array_equal(images[:, 32, 32, 0], expected)
    factors = open_factors(h5)
    assert factors.names == ("identity", "elevation", "azimuth")
    assert factors.sizes == (2, 2, 3)
    np.testing.assert_array_equal(factors.classes, list(np.ndindex(2, 2, 3)))
    np.testing.assert_allclose(np.degrees(factors.values[:, 1:]), VIEWS * 2)
    assert factors.grid().images == 12
    again, _ = imported(tmp_path / "b", "chairs", write_folder(tmp_path / "folder", members), crop=400)
    np.testing.assert_array_equal(again, images)


def test_faces_come_from_a_folder_of_any_names(tmp_path):
    shades = {"a.png": 20, "b/c.PNG": 120, "b/d.jpeg": 220}
    for name, shade in shades.items():
        image = np.full((90, 80), shade, np.uint8)
        write_folder(tmp_path / "f", {name: encoded(image, "PNG" if "png" in name.lower() else "JPEG")})
    write_folder(tmp_path / "f", {"readme.txt": b"not a picture", "b/._d.jpeg": b"left by a Macintosh"})
    images, _ = imported(tmp_path, "faces", tmp_path / "f")
    np.testing.assert_array_equal(images[:, 30, 30, 0], list(shades.values()))


@pytest.mark.parametrize("last", [(), (1,)])
def test_faces_come_from_hdf5_with_the_factors_that_it_has(tmp_path, last):
    values = np.array([[0.5, -1.0], [0.5, 1.0], [0.1, 1.0]])
    with h5py.File(tmp_path / "faces.h5", "w") as file:
        file["images"] = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, *last) * np.full(
            (1, 70, 70, *last), 50, np.uint8
        )
        file["factors/values"] = values
        file.attrs["factor_names"] = '["azimuth", "lighting"]'
    images, h5 = imported(tmp_path, "faces", tmp_path / "faces.h5")
    np.testing.assert_array_equal(images[:, 9, 9, 0], [0, 50, 100])
    factors = open_factors(h5)
    assert (factors.names, factors.sizes) == (("azimuth", "lighting"), (2, 2))
    np.testing.assert_array_equal(factors.classes, [[1, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(factors.values, values)
    assert factors.grid() is None


# Streaming ---------------------------------------------------------------------------------------------


def test_pictures_are_read_as_they_are_written_and_come_in_order_whatever_the_threads():
    read, pictures = [], {f"{n:03d}.png": encoded(np.full((70, 70), n, np.uint8), "PNG") for n in range(100)}

    def reading(name):
        read.append(name)
        if name == "007.png":
            raise Broken("not this one")
        return pictures[name]

    for threads in (1, 4):
        read.clear()
        for taken, picture in enumerate(import_pictures.reduced(list(pictures), reading, None, 1, threads), start=1):
            assert len(read) - taken <= 8 * threads  # of all that are read no more wait
            assert isinstance(picture, Broken) if taken == 8 else picture[9, 9, 0] == taken - 1
        assert taken == len(read) == 100


def test_an_import_tells_how_far_it_is(tmp_path, monkeypatch):
    bars = []

    class Bar(contextlib.nullcontext):
        def __init__(self, total, label, unit):
            super().__init__(self)
            self.told, self.done = (total, label, unit), 0
            bars.append(self)

        def update(self):
            self.done += 1

    monkeypatch.setattr(import_pictures.job, "progress", Bar)
    imported(tmp_path, "celeba", write_folder(tmp_path / "folder", celeba_members(7)[1]), crop=148)
    assert [(bar.told, bar.done) for bar in bars] == [((7, "data set celeba", "image"), 7)]


# Broken pictures ---------------------------------------------------------------------------------------


def half(content):
    return content[: len(content) // 2]


def test_broken_pictures_are_named_and_left_out_with_their_factors(tmp_path, capsys):
    members = chair_members()
    names = sorted(name for name in members if name.endswith(".png"))
    members[names[1]], members[names[4]] = b"no picture", half(members[names[4]])
    source = write_tar(tmp_path / "rendered_chairs.tar", members)
    images, h5 = imported(tmp_path, "chairs", source, broken=2)
    assert len(images) == 10
    np.testing.assert_array_equal(open_factors(h5).classes, np.delete(list(np.ndindex(2, 2, 3)), [1, 4], axis=0))
    assert describe(h5)["source"].endswith("2 left out")
    told = capsys.readouterr().err
    assert f"2 of 12 pictures left out: {names[1]}, {names[4]}" in told


def test_more_broken_pictures_than_allowed_stop_the_import_and_leave_no_file(tmp_path):
    members = celeba_members(4)[1] | {"img_align_celeba/000002.jpg": b"", "img_align_celeba/000004.jpg": b"\xff\xd8"}
    source = write_zip(tmp_path / "img_align_celeba.zip", members)
    with pytest.raises(UserError, match=r"more than 1 pictures .*000002.jpg, .*000004.jpg .*`pictures.celeba.broken`"):
        imported(tmp_path, "celeba", source, broken=1, crop=148)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_picture_smaller_than_the_crop_is_broken():
    with pytest.raises(Broken, match="178 × 218 pixels, smaller than the crop of 200"):
        small(encoded(portrait(9), "PNG"), 200, 3)


def test_transparency_is_laid_on_white():
    file = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 4), np.uint8)).save(file, "PNG")
    assert (small(file.getvalue(), None, 1) == 255).all()


# Hostile archives --------------------------------------------------------------------------------------


def png_that_claims(width, height):
    """A PNG of a few bytes whose header claims to be so large."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("side", "said"), [(8000, "8000 × 8000 pixels, expected at most"), (60000, "Bomb")])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_that_would_explode_is_refused_by_its_header(side, said):
    with pytest.raises(Broken, match=said):
        small(png_that_claims(side, side), None, 1)


def test_sixteen_bits_a_pixel_are_refused_rather_than_clipped():
    with pytest.raises(Broken, match="expected eight bits"):
        small(encoded(np.full((64, 64), 1000, np.uint16), "PNG"), None, 1)


def test_a_zip_member_that_would_explode_is_never_read_whole(tmp_path):
    path = tmp_path / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("000001.jpg", bytes(4 * BYTES))
    with opened(path) as (_, read), pytest.raises(Broken, match=f"{4 * BYTES} bytes, expected at most {BYTES}"):
        read("000001.jpg")
    # The same, its size in the directory a lie.
    lie = path.read_bytes().replace(struct.pack("<I", 4 * BYTES), struct.pack("<I", 1000))
    path.write_bytes(lie)
    with opened(path) as (_, read), pytest.raises(Broken):
        read("000001.jpg")


def test_names_that_climb_out_of_an_archive_write_nothing(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    members = {"../../000001.jpg": encoded(portrait(7), "JPEG"), "/etc/000002.jpg": encoded(portrait(8), "JPEG")}
    for source in (write_zip(inner / "x.zip", members), write_tar(inner / "x.tar", members)):
        before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
        images, _ = imported(inner, "celeba", source)
        assert len(images) == 2
        assert {path for path in tmp_path.rglob("*") if "out" not in path.parts} == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_broken_pictures(tmp_path, kind):
    secret = write_folder(tmp_path, {"secret.jpg": encoded(portrait(1), "JPEG")}) / "secret.jpg"
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        entry = tarfile.TarInfo("000001.jpg")
        entry.type, entry.linkname = kind, str(secret)
        archive.addfile(entry)
    with opened(tmp_path / "x.tar") as (names, read), pytest.raises(Broken, match="a link or a special file"):
        read(names[0])


def test_a_link_out_of_a_folder_is_a_broken_picture_and_one_within_is_not(tmp_path):
    write_folder(tmp_path, {"secret.jpg": encoded(portrait(1), "JPEG"), "in/000002.jpg": encoded(portrait(2), "JPEG")})
    (tmp_path / "in" / "000001.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "in" / "000003.jpg").symlink_to("000002.jpg")
    os.mkfifo(tmp_path / "in" / "000004.jpg")
    with opened(tmp_path / "in") as (names, read):
        assert names == [f"{n:06d}.jpg" for n in range(1, 5)]
        with pytest.raises(Broken, match="a link out of the folder"):
            read("000001.jpg")
        with pytest.raises(Broken, match="not a file"):
            read("000004.jpg")
        assert read("000003.jpg") == read("000002.jpg")


def test_a_tar_header_that_asks_for_gigabytes_is_refused(tmp_path):
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 3 * 2**30
    (tmp_path / "x.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(UserError, match="header asks for 3221225472 bytes"), opened(tmp_path / "x.tar"):
        pass


def test_a_tar_that_leads_back_to_its_start_is_refused(tmp_path):
    header = bytearray(tarfile.TarInfo("000001.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + (0x10000 - 512).to_bytes(2, "big")  # the size, −512 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(4096))
    with pytest.raises(UserError), opened(tmp_path / "x.tar"):
        pass


def test_compressed_tars_other_files_and_empty_folders_are_refused_in_words(tmp_path):
    packed = tmp_path / "x.tar"
    packed.write_bytes(gzip.compress(write_tar(tmp_path / "y.tar", {"a": b"b"}).read_bytes()))
    (tmp_path / "z.zip").write_bytes(b"PK\x03\x04 and nothing more")
    for path in (packed, tmp_path / "z.zip"):
        with pytest.raises(UserError, match="as its authors publish it"), opened(path):
            pass
    with (
        pytest.raises(UserError, match=r"expected a folder or a file called \*\.zip, \*\.tar"),
        opened(tmp_path / "q.rar"),
    ):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="none of its 0 files is called like img_align_celeba"):
        imported(tmp_path, "celeba", tmp_path / "empty")


def test_a_member_that_comes_twice_or_too_many_are_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("000001.jpg", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("000001.jpg", b"other")
    with pytest.raises(UserError, match=r"holds '000001.jpg' twice"), opened(tmp_path / "x.zip"):
        pass
    monkeypatch.setattr(picture_files, "MEMBERS", 3)
    for source in (
        write_zip(tmp_path / "y.zip", celeba_members(4)[1]),
        write_tar(tmp_path / "y.tar", celeba_members(4)[1]),
        write_folder(tmp_path / "y", celeba_members(4)[1]),
    ):
        with pytest.raises(UserError, match="more than 3 files"), opened(source):
            pass


def external_link(file):
    file["images"] = h5py.ExternalLink("other.h5", "/images")


def soft_link(file):
    file["elsewhere"] = np.zeros((2, 64, 64), np.uint8)
    file["images"] = h5py.SoftLink("/elsewhere")


def external_bytes(file):
    file.create_dataset("images", (1, 64, 64), np.uint8, external=[("/etc/passwd", 0, 4096)])


def virtual(file):
    layout = h5py.VirtualLayout((1, 64, 64), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "images", (1, 64, 64))
    file.create_virtual_dataset("images", layout)


def huge_chunks(file):
    file.create_dataset("images", (2**20, 1024, 1024), np.uint8, chunks=(1024, 1024, 1024), compression="gzip")


def floats(file):
    file["images"] = np.zeros((1, 64, 64))


@pytest.mark.parametrize("make", [external_link, soft_link, external_bytes, virtual, huge_chunks, floats])
def test_an_hdf5_file_that_links_out_explodes_or_holds_something_else_is_refused(tmp_path, make):
    with h5py.File(tmp_path / "other.h5", "w") as other, h5py.File(tmp_path / "x.h5", "w") as file:
        other["images"] = np.zeros((1, 64, 64), np.uint8)
        make(file)
    with pytest.raises(UserError), opened(tmp_path / "x.h5"):
        pass


# Paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("path", [None, "/no/such/place", "a{b}"])
def test_a_missing_path_says_in_one_line_what_to_get_from_whom_and_where_to_put_it(config, name, path):
    config["pictures"][name]["path"] = path
    with pytest.raises(UserError) as refusal:
        source_path(config, name)
    message = str(refusal.value)
    assert "\n" not in message
    assert f"`pictures.{name}.path`" in message
    assert (SOURCES[name] in message) == (path != "a{b}")


def test_a_path_that_is_there_is_taken(config, tmp_path):
    config["pictures"]["faces"]["path"] = str(tmp_path)
    assert source_path(config, "faces") == str(tmp_path)
