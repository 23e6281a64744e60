#!/usr/bin/env bash
# Test the PyTorch backend in an environment of its own: PyTorch 2.11 with its CUDA libraries, 2.5 GB to download and
# 6 GB on the disk; where pip is pointed at PyTorch's own index of CPU builds, a tenth of it.
# Usage: test_pytorch.sh PYTHON FOLDER [ARGUMENTS OF PYTEST]
set -euo pipefail
python=$1 folder=$2
shift 2
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
if [ ! -e "$folder/.installed" ] || [ pyproject.toml -nt "$folder/.installed" ]; then
  echo "Installing the Python packages into $folder, some minutes"
  "$folder/bin/python" -m pip install --disable-pip-version-check --progress-bar off -q -e '.[pytorch]' pytest
  touch "$folder/.installed"
fi
folder=$(cd "$folder" && pwd)
# Importing AiiDA makes its folder: here inside the environment, never in the user's home.
export PATH=$folder/bin:$PATH AIIDA_PATH=$folder OMP_NUM_THREADS=1
exec pytest tests/pytorch "$@"
