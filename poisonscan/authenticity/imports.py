"""What pickles of weights import: names that only build tensors and arrays, and names that run code."""

from __future__ import annotations

_STORAGES = """
BFloat16 Bool Byte Char ComplexDouble ComplexFloat Double Float Half Int Long QInt32 QInt8 QUInt2x4 QUInt4x2
QUInt8 Short
"""
_DTYPES = """
bfloat16 bool cdouble cfloat chalf complex128 complex32 complex64 double float float16 float32 float64
float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz half int int16 int32 int64 int8 long qint32 qint8
quint2x4 quint4x2 quint8 short uint16 uint32 uint64 uint8
"""
_TORCH = " ".join((_DTYPES, "Size device Tensor", *(f"{kind}Storage" for kind in _STORAGES.split())))
_REBUILDERS = """
_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_sparse_tensor
_rebuild_qtensor _rebuild_meta_tensor_no_storage
"""
_NUMPY = """
dtype ndarray bool_ float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64
"""
_BUILTINS = "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"

_ALLOWED = {
    "collections": "OrderedDict defaultdict Counter",
    "builtins": _BUILTINS,
    "__builtin__": f"{_BUILTINS} long unicode",
    "_codecs": "encode",
    "copyreg": "_reconstructor",
    "copy_reg": "_reconstructor",
    "torch": _TORCH,
    "torch.storage": "TypedStorage UntypedStorage",
    "torch._utils": _REBUILDERS,
    "torch._tensor": "_rebuild_from_type_v2",
    "torch.nn.parameter": "Parameter",
    "torch.serialization": "_get_layout",
    "numpy": _NUMPY,
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
}
ALLOWED = {module: frozenset(names.split()) for module, names in _ALLOWED.items()}
"""Names by module. Each builds a value out of its arguments, and calls nothing but what the pickle imports as
well. Less than what torch's weights-only unpickler allows (`torch._weights_only_unpickler`, 2.15), and what
pickles of numpy 1 and 2 need."""

_RUN_CODE = """
antigravity cffi cloudpickle code codeop concurrent ctypes dill distutils ftplib http imp importlib marshal
multiprocessing pexpect poplib setuptools shelve signal site smtplib telnetlib urllib xmlrpc zipimport
_posixsubprocess _thread _winapi _xxsubinterpreters
joblib.load numpy.distutils numpy.f2py numpy.load numpy.testing pandas.eval pandas.read_pickle
torch.hub torch.jit torch.load torch.ops torch.package torch.utils.cpp_extension torch.utils.model_zoo
types.FunctionType
builtins.__import__ builtins.delattr builtins.filter builtins.globals builtins.input builtins.locals
builtins.map builtins.setattr builtins.type builtins.vars
__builtin__.execfile __builtin__.file __builtin__.input __builtin__.reload
"""
RUN_CODE = frozenset(_RUN_CODE.split())
"""Modules, with their submodules, and names in modules that run or load code, write files, reach the network
or call what they are given, and that picklescan 1.0 does not list, or not whole."""
