"""Apache Kafka's cleaner and ours make the same of the same log.

The log was written to a real Kafka with its cleaner off: plain, idempotent and transactional producers, every codec,
tombstones, headers, aborted transactions, segments of 700 bytes. Then one copy was cleaned by Kafka; here the other is
cleaned by us. `CAPTURED` holds both, packed: a file's name and bytes after the other.
"""

from __future__ import annotations

import base64
import lzma
from pathlib import Path
from struct import Struct
from typing import Any

import pytest

from kproto.batches.header import DELETE_HORIZON, read_header
from kproto.batches.records import iter_records
from kproto.ids import parse_uuid
from storage.engine import LogSpec
from storage.log_config import LogConfig
from storage.testing.log_builder import whole_batches
from storage.tests.local.local_lab import Place, read_all
from storage.tests.local.test_formats import META_PROPERTIES

END = 148
SPEC = LogSpec(
    "t", parse_uuid("gR5FxsquTYuboDgswPEtEA"), 0,
    LogConfig(compact=True, delete=False, segment_bytes=700, min_cleanable_dirty_ratio=0.01, index_interval_bytes=500),
)  # fmt: skip

CAPTURED = (
    "{Wp48S^xk9=GL@E0stWa8~^|S5YJf5;4DT8<y`;(2#^JJWS)RG7)|GpT0{--%_GY!S-"
    "uF%bcV3&w5l!akHJU`?G*i^I$&G^60P2_y9>x`@tzn4uV4?tfVK5X-"
    "ENM|nN_=RV9YOl{X5Lq9zUpvJSteu{KM1+cZ{~Ascdm1I43+YaKS`g=1DA{Jl%>L$i;dGw{Tk8b0)3EDk9b~PEAqYBmiRk0k_V6mFvc80Q+J5J<4"
    "s*3P%RI7Bid1Gcy-"
    "l0QLs)yF&)TzXsc6X1PI@SNoCrr}j$(%uK1HF9?ERvKNPwq=B8Kn(;;O#k3gZLvDAJc=Y%pZn=eD^USO=>WeD5znog;w4o~|MbfJx4f{Ag1&W*tA"
    "KwXvR&oI@WG<&zR*Z3HL}~Avr_b2(1AQw$ce}Bo0E|xw=EB-"
    "bb9xYvK>p;iTWH4kcBq}P;Y4OezhbvaodfFznqr6J@LKPp0+nS^^*sUfJ>&R%t^Ah-Ex?NHQ|-"
    "G!{LY7@gl+GwIcA)RS~YATwEP_X6JEVsQ+n1`1)S33kthvSQ%DX%aol6-"
    "!Rx7X$!W(HW1;tRTf+7wqJhxl?4h=kSyEOy>Yl}r2k^PVyOF?K?6$utZZaoQ5Rp&U7L6Sdw5pA5c^Y`sIe$J@chbFql8T$NpLTc^5<DYzF8Z36T`"
    "}JHGc#;_Sn$=1XK@2Vu!5O&3FQ*2x7`7iI)tA>T{ax@<X0E4Uf$$d2IOuDL=5g=Rl&f8=M@SPxbj1BJ0zB-"
    "bjU?y)E|x?dJRc9tt~TvbCr=)*C79%X_DTo*|?2oMV;A$G3(}Eo^?58t{3bY4c)YERK|mWg{Yj+o#xeeqpiLa-"
    "kds*z+*K;EIVD7<}V7IfzDXB37s?tXcERDPEVMi8F#;U(0eUA1jOMs$Tm$gWt>T<_B|8KprXD95S>S+Nj<XW@9fMm-xxn|6t}X%O{ylYE=2b*(^y"
    "t3XNJwB_<)#BTZGx)<+~WT23lecx&`H+G$wkkWYz3YlCOhk`OO6f{nn~bE6RO75QM8bNdApAMIeWyd;Ltp>Dsgwldx<i=DpS!U)h|_JFH3CKR+E)"
    "Qg^DTc#)KVzAs(^al}(&S1QRpTQ@UE2g=8SQ7wB+ECp>;kH7`gKwWvNG@itjUz;?B40GW}z6wl4%!v|G-VL0%3yM&=XUcMos>C`QBO?nF0Hu@KS-"
    "+TbwM1V29Bx=l-"
    "Vj%9>x~FvB9(E8Cd?Tc+ARo=l#t8@_!lA*MLp$72Ezuw$8GkgcySIMrPo^U+XPW~3Ec?h&i%i(#x>5)LN3kbxCSYUAI(6FQiK|*DX-"
    "os1{?Dv^h}o^`QO|Cv*0?^HjwKyUU>O(7cRB{=LeHagpjDh75Ajfj}=Ysr-"
    "wV#m)FbC$`Rkt(DDchvbKi`dB_8_i9Y(;eGMM$xHo_LP#{tokC@;v5Tvk<N-n0(T4F>2>Ixf4W((LPJ5ZVrAleg+bBd(oC-JH}{E2rWGR3_Dueir"
    "$Y!;E20RM^-"
    "SkAPMLc*|~pcy{PmonKjQPZ)YZA^nmQksU{r$(*$HdSCGgF(C1MHkRlZNHFo#)AP?Ms_zgGi3`OODw{LNTg80iJz#7MxdnHfX2vzuAlF$uHi`X!k"
    "~RNZ%=224;BPwCcs?B#^oapU{e(ai1dDY(Du;UE{<BK2ID#j8#>^$W*D6B)!Z<o6}ctV&7}Q(iC|pFLXsQzqwVs~I$cnTiOVH<AH^mc9Ls!J+LO!"
    "UJHcv{f@z|<!j)L%CU-QFD%w&g+A<jyP3HM1rvL!Swo8c&u68Y=>ZAj#+!T6WsmpexHgPbdgW@h->i(*CuxCV?=AejqWFy+t5tnnW2UQTM#-"
    "W7gE#ivWB)HvbeWLyh{+AXxloG%{x3!o=r}-"
    "&7#_n1W^4m8ey0lU8zz5?9Vg5|(Sa#?5?qu!xm9e#xM5hiv$^H@1Mqp?6>yV06)p;#syoSjZ8@ZRrE-Ylh)bLz2T&>BwlgVtlODK}ik3WpBZ2ym6"
    "$)k8y%<f$_0T3uz133ESi=ok`GgOCQfVk4e{CUzG;b6HQw<uDGlPSdVPJexYQwu^Bf)xh7#3U-UXeYA*>E$0bM_;nGmX-"
    "6jELre~o;e#NGdqNwDzr+Iwy?ovsUxDu8_r~H*1a*IZ`A{r`xWvhluxn)H3O~lVq4K~_n$Xyh>N_FwHQQ1mhltrz`Ms&qX2%u-"
    "8RCUG@!8{sjAF<olXh|$7kPP%q0ffv2@LGZ=nX}dbyeEKfRG3H4O3Ds8^m3<g#l?J7ozS0J42Vi;#n}!fA<n27K}onf^??66n1<aA99H*3#&uYTF"
    "h$w2TDx<WU3nK#d2whL!XoB?g^ITqHN!Wc?Xp7at9C(;AWo2&G%jC|<eZ-HSrSB0`(Y@#SrJCUSi$_DD=PCiC>at0}6Zo^gWc@2l=aOZ9=-"
    "USPGv5NNc}z^>MeP;rP)8<Ul4*CM;}u0ZO*Y%+B{U?Z=gJ9O%?aqeey*8cJ(vW==t&G?7@kIRXLHYL>5l-"
    "S4)%lDl?tj4*MDVd(2Ym5{Ru;TY6!n;8@DL3XZ3`%T7f|f*H>tY}4)T8vcNB8+HYM@#LI+`cd-h3v5a$<zLOQ3gsIcK}$-"
    "%9Kn)UrO7iFTa|NO5N$4`3JL@;?<?rvg-Py6_S_h!!^ds83%9ZN1rwAga+ei<Mc#)=JOV`263{*mE1OJT$`x4w-"
    "#Q`c<e7kH);bWPV)7)t8<2E*6^{MV^8`y;xn$%1i9gm(9h!{rb#CEcTR<D>wE#%s)0I1g<yb?w!=Q&8pD+teAq+WaQ3Kc+>MpCf%fH!bdd<DL(BM"
    "B%B*;%Vuv$T~EO)g{Fd3+U^(qtfbO7H$!wy4UfpPo<Qel(ONndpD|0GPs-"
    "TpMc<<)XcLX{k4WrRbv$lO1=o!Ag5N2)<IYj8OmiCP^t_wN&IYR}e6<3EX+DQcr$QBs2KfEEZzBq`B-+hVNDvhE=yyKse-RmrQW7KaD}Yq|PG9jL"
    "<mSm@0eUPEucF^}R3<ofnKuC2rd&r4WkV+p-liLAyDQ*-7$bIFU!Y3rx#HL;&J`ZoVkv3+H_C<^%^cgM?+PvJGoRpvQxkNr4MSDdfmCwmJBH-"
    "{Peip5`C+Lw5mkcj?=-%~1zMcQ_*{Ati^~&tIF?e>L;tr`e-"
    "S##>Ud$mk2G{Q5UIEo1GjPI#|vgyo*6fwEUYO0Bz?DK?~GT63r@6U<)uzCFa7Pw<pYOq3ND%1yMKLzGbWA(L@a!Z#|tV&lnWpl37_lczN`D*@V+_"
    "nByjsnj9lgd+~FH2i0!unY3?B|0_r(F*Rp-(cmotOe=|}cIs+4@JC2wqNTC{kCyr2sXB4pf)VP(JAY~4(ieL+oCc{?r-yA!eI8eQ_LoDkA-iB3U_"
    "K2_3mMR9++Yh@B)tsXz$A+y5`;07{-#BoW0e_<CwN0?$W6IUT>9=?JutQoLz@XKrIyp>E)kO)@Wc0anIHbZzUKz?eC;0Z?<&87P;KcI<BI-880-"
    "!S{_)>0YwY>^BE7G;fu>VPylo35ah&gppn~8SA)TM=1cTzNQ$8Bi76{j5;Ow3g$rV1%~Hhf)GtTbmo;zl_+hdZ_5=)*G$1rVo$qbT_JzE#h=su)V"
    "!Z_NOQqhwOW!K+h50}8b7YgFy*K~r=900000g+#yf6XKLb00Ds($5;RWHP|e0vBYQl0ssI200dcD"
)


def captured() -> dict[str, bytes]:
    """The files as Kafka left them, `before/` and `after/` the cleaning."""
    data = lzma.decompress(base64.b85decode(CAPTURED))
    files, position = {}, 0
    short, long = Struct(">H"), Struct(">I")
    while position < len(data):
        (size,) = short.unpack_from(data, position)
        name = data[position + 2 : position + 2 + size].decode()
        position += 2 + size
        (size,) = long.unpack_from(data, position)
        files[name] = data[position + 4 : position + 4 + size]
        position += 4 + size
    return files


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The data directory as Kafka left it after a clean stop."""
    data = tmp_path / "data"
    (data / "t-0").mkdir(parents=True)
    (data / "meta.properties").write_bytes(META_PROPERTIES)
    (data / ".kafka_cleanshutdown").write_bytes(b'{"version":0,"brokerEpoch":13}')
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        (data / name).write_bytes(b"0\n1\nt 0 %d\n" % END)
    for name, content in captured().items():
        folder, _, file = name.partition("/")
        if folder == "before":
            (data / "t-0" / file).write_bytes(content)
    return Place(data)


def shape(data: bytes) -> tuple[Any, ...]:
    """A batch but for what may differ: the time of the cleaning in a horizon, and what timestamps are relative to."""
    header = read_header(data)
    return (
        header.base_offset, header.last_offset, header.attributes, header.max_timestamp, header.producer_id,
        header.producer_epoch, header.base_sequence, header.partition_leader_epoch, list(iter_records(data)),
    )  # fmt: skip


async def test_our_cleaner_makes_what_kafkas_makes(place: Place) -> None:
    """The same segments of the same batches of the same records, and the same transaction indexes."""
    theirs = {name.removeprefix("after/"): data for name, data in captured().items() if name.startswith("after/")}
    async with place.open() as store:
        log = store.log(SPEC)
        assert log.log_end_offset == END
        before = await read_all(store, log)
        assert await store.cleaner.clean_due() == 1
        after = await read_all(store, log)
        assert len(after) < len(before) * 2 / 3
    assert sorted(name for name in place.names("t") if name.endswith((".log", ".txnindex"))) == sorted(theirs)
    for name, data in theirs.items():
        ours = (place.path / "t-0" / name).read_bytes()
        if name.endswith(".txnindex"):
            assert ours == data, name
        else:
            assert [shape(batch) for _, batch in whole_batches(ours)] == [
                shape(batch) for _, batch in whole_batches(data)
            ], name
    assert any(header.attributes & DELETE_HORIZON for header, _ in whole_batches(after)), "tombstones were met"
