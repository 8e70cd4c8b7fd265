"""What the published gzip files of MNIST and its kin unpack to, as torchvision keeps them."""

from __future__ import annotations

from jaxode.data.specs import SourceFile

_IMAGES, _TEST_IMAGES = 16 + 60_000 * 784, 16 + 10_000 * 784
_LABELS, _TEST_LABELS = 8 + 60_000, 8 + 10_000
_TABLE = 12 + 60_000 * 8 * 4

# By the digest of the gzip file: size and SHA-256 of its contents, computed from files of that
# digest. The images of QMNIST were not at hand: their size follows from the format, and their
# checksum is recorded when they are prepared.
_CONTENTS: dict[str, tuple[int, str | None]] = {
    "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609":
        (_IMAGES, "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c":
        (_LABELS, "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6":
        (_TEST_IMAGES, "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6":
        (_TEST_LABELS, "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84":
        (_IMAGES, "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845":
        (_LABELS, "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073":
        (_TEST_IMAGES, "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5":
        (_TEST_LABELS, "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    "md5:ed72d4157d28c017586c42bc6afe6370": (_IMAGES, None),
    "md5:0058f8dd561b90ffdd0f734c6a30e5e4":
        (_TABLE, "sha256:bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5"),
    "md5:1394631089c404de565df7b7aeaf9412": (_IMAGES, None),
    "md5:5b5b05890a5e13444e108efe57b788aa":
        (_TABLE, "sha256:92d0ccb8c25f9c6534270fb4be7e1d24a1c6d315edfc8a638bfbd31c70f362dd"),
}  # fmt: skip

_GZIP = ".gz"


def names(file: SourceFile) -> tuple[str, ...]:
    """Names of a file: the published one and, of a gzip file, those of what it unpacks to."""
    if not file.name.endswith(_GZIP) or file.name.endswith(".tar.gz"):  # an archive is used packed
        return (file.name,)
    bare = file.name.removesuffix(_GZIP)
    return file.name, bare, bare.replace("-idx", ".idx")  # the last is Kaggle's


def expected(file: SourceFile, name: str) -> SourceFile:
    """The file itself, or what it unpacks to if `name` is a name of that."""
    if name == file.name:
        return file
    return SourceFile(name, *_CONTENTS.get(file.digest or "", (None, None)))
