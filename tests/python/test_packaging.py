# SPDX-License-Identifier: MIT
"""The wheel, the source distribution and what meson installs are whole, and work without this checkout."""
import email
import glob
import importlib.util
import json
import os
import shutil
import site
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import unittest
import zipfile

from helper import BUILD, ROOT, WAIT_S, SegmentTest

import vmtally

HERE = os.path.join(ROOT, "bindings", "python")
FILES = {name for name in os.listdir(os.path.join(HERE, "vmtally")) if name.endswith((".py", ".typed"))}
PIP = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
PROGRAM = """
    import sys, vmtally
    from vmtally import schemas
    with vmtally.Segment("packaged") as segment, segment.add(schemas.vcpu, "vcpu-0").acquire() as shard:
        shard.add("exits", 4711)
        with vmtally.attach("packaged") as vm:
            print(vmtally.__file__, vm.snapshot()["vcpu-0"]["exits"])
"""


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT_S, **options).stdout


def needs(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise unittest.SkipTest(f"python3-{module} is not installed for {sys.executable}")


class InstalledTest(SegmentTest):
    def assert_works(self, python, where, **environment):
        """The package is the one there, not that of this checkout, and it works."""
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        said = run(python, "-c", textwrap.dedent(PROGRAM), cwd="/", env=dict(env, **environment))
        path, value = said.split()
        self.assertTrue(path.startswith(where + os.sep), said)
        self.assertEqual(value, "4711")


class Packages(InstalledTest):
    @classmethod
    def setUpClass(cls):
        """Built once, offline, from a copy: setuptools writes beside what it builds."""
        cls.work = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.work)
        cls.why_not = ""
        try:
            needs("build", "setuptools", "wheel")
        except unittest.SkipTest as e:
            cls.why_not = str(e)
            return
        tree = os.path.join(cls.work, "checkout", "bindings", "python")
        shutil.copytree(HERE, tree, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        shutil.copy(os.path.join(ROOT, "LICENSE"), os.path.join(cls.work, "checkout"))
        try:
            run(sys.executable, "-m", "build", "--no-isolation", "--outdir", cls.work, tree)
        except subprocess.CalledProcessError as e:
            raise AssertionError(e.stdout + e.stderr) from None
        (cls.wheel,) = glob.glob(os.path.join(cls.work, "*.whl"))
        (cls.sdist,) = glob.glob(os.path.join(cls.work, "*.tar.gz"))

    def setUp(self):
        super().setUp()
        if self.why_not:
            self.skipTest(self.why_not)

    def test_the_wheel_has_the_package_its_types_and_its_license_and_nothing_else(self):
        self.assertEqual(os.path.basename(self.wheel), f"vmtally-{vmtally.__version__}-py3-none-any.whl")
        info = f"vmtally-{vmtally.__version__}.dist-info/"
        with zipfile.ZipFile(self.wheel) as wheel:
            names = {name for name in wheel.namelist() if not name.startswith(info)}
            self.assertEqual(names, {f"vmtally/{name}" for name in FILES})
            self.assertIn("vmtally/py.typed", names)
            with open(os.path.join(ROOT, "LICENSE"), "rb") as file:
                self.assertEqual(wheel.read(info + "LICENSE"), file.read())
            metadata = email.message_from_bytes(wheel.read(info + "METADATA"))
        self.assertEqual([metadata[key] for key in ("Name", "License", "Requires-Python")], ["vmtally", "MIT", ">=3.9"])
        self.assertEqual(metadata.get_all("Requires-Dist"), ['numpy (>=1.20) ; extra == \'arrays\''])
        with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
            self.assertEqual(metadata.get_payload(decode=True).decode().strip(), file.read().strip())

    def test_the_source_distribution_builds_the_same_wheel(self):
        with tarfile.open(self.sdist) as sdist:
            names = {member.name.partition("/")[2] for member in sdist if member.isfile()}
            for name in {"LICENSE", "README.md", "pyproject.toml", *(f"vmtally/{name}" for name in FILES)}:
                self.assertIn(name, names)  # as a file: a link would lead nowhere
            with tempfile.TemporaryDirectory() as elsewhere:
                sdist.extractall(elsewhere)
                (tree,) = os.listdir(elsewhere)
                run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", elsewhere,
                    os.path.join(elsewhere, tree))
                (again,) = glob.glob(os.path.join(elsewhere, "*.whl"))
                contents = []
                for path in (self.wheel, again):
                    with zipfile.ZipFile(path) as wheel:
                        contents.append({i.filename: i.CRC for i in wheel.infolist()})
                self.assertEqual(*contents)

    def test_the_wheel_works_where_pip_installs_it(self):
        needs("pip")
        target = os.path.join(self.work, "target")
        run(sys.executable, *PIP, "--target", target, self.wheel)
        self.assert_works(sys.executable, target, PYTHONPATH=target)

    def test_the_wheel_works_in_a_virtual_environment_of_its_own(self):
        needs("venv", "ensurepip")
        venv = os.path.join(self.work, "venv")
        try:
            run(sys.executable, "-m", "venv", venv)
        except subprocess.CalledProcessError as e:
            self.skipTest(f"no virtual environment can be made: {(e.stdout + e.stderr).strip().splitlines()[0]}")
        python = os.path.join(venv, "bin", "python3")
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        run(python, *PIP, self.wheel, env=env)
        self.assert_works(python, venv)


class Meson(InstalledTest):
    def introspect(self, what):
        meson = shutil.which("meson")
        if not BUILD or not meson:
            self.skipTest("no meson build: $VMT_BUILD is not set" if meson else "meson is not installed")
        return json.loads(run(meson, "introspect", what, BUILD))

    def test_meson_installs_each_file_of_the_package_where_python_looks(self):
        installed = [to for of, to in self.introspect("--installed").items() if of.startswith(HERE + os.sep)]
        self.assertEqual({os.path.basename(to) for to in installed}, FILES)
        (directory,) = {os.path.dirname(os.path.dirname(to)) for to in installed}
        (prefix,) = (o["value"] for o in self.introspect("--buildoptions") if o["name"] == "prefix")
        if any(place.startswith(prefix + "/lib/") for place in site.getsitepackages()):
            self.assertIn(directory, site.getsitepackages())

    def test_what_meson_installs_works(self):
        self.introspect("--projectinfo")
        with tempfile.TemporaryDirectory() as root:
            run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root, "--tags", "python-runtime")
            (package,) = glob.glob(root + "/**/vmtally/__init__.py", recursive=True)
            where = os.path.dirname(os.path.dirname(package))
            self.assertEqual(set(os.listdir(os.path.join(where, "vmtally"))), FILES)
            self.assert_works(sys.executable, where, PYTHONPATH=where)

    def test_the_package_has_the_version_of_the_library(self):
        self.assertEqual(self.introspect("--projectinfo")["version"], vmtally.__version__)
