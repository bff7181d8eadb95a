"""Common English words and word fragments, the material of the twins' vocabularies."""

from __future__ import annotations

from typing import Final

# Rough order of use; a small vocabulary takes the first of them.
_WORDS: Final = """
    the of and to in a is that for it as was with be by on not he his but at are this have from
    or had an they which one you were all her she there would their we him been has when who
    will no more if out so up what its about than into them can only other time new some could
    these two may first then do any like my now over such our man me even most made after also
    did many off before must well back through years much where your way down should because
    long each just state those people too how between three being own very make still see work
    year world life day part number system same use while against place word words write written
    list give given explain describe answer question following text sentence paragraph example
    difference compare short story reason step steps result data value values model models
    memory computer energy power device program function code return string line file test water
    light air heat city house The A In It This He What Why How When Write Explain Describe List
    If For Then There They You We Give Each After While One As On But And So To At another right
    small large great high low old young good bad little big left last next early late few
    several every both around under without within during again never always often once here
    become became begin began keep kept hold held turn turned move moved change changed cause
    find found need needed mean means meant seem seemed show shown leave call called name named
    ask asked think thought know known say said tell told come came go went gone take took taken
    get got put set let help play run runs running start started end ended stop close open read
    reading learn hand hands head eye eyes face body mind heart voice side room door table road
    street town country school family child children mother father friend friends woman women
    men group company business money market price cost paper book letter page picture music food
    bread rice oil fish tree trees river sea sun moon star earth land field hill mountain rain
    wind snow winter summer spring morning evening night week month hour minute second today
    tomorrow history science language art law order point area level rate case fact kind form
    sort type size shape color red blue green white black dark simple hard easy clear free full
    empty strong weak fast slow hot cold warm cool possible important different similar common
    general special public local human natural social problem problems method methods process
    structure pattern rule rules idea ideas plan task tasks input output error network signal
    machine engine motor battery current voltage speed distance weight measure measured
    measurement temperature pressure surface material metal glass stone wood plant plants animal
    animals bird birds horse dog cat cell cells gene species forest ocean island north south
    east west upper lower inside outside above below near far along across toward store stored
    storage build built building design designed produce produced production provide require
    required include includes including contain contains increase increased reduce reduced
    improve support control manage create created develop developed apply applied consider
    follow instead however therefore although though since until unless whether perhaps rather
    quite almost enough already together everything something nothing anything someone token
    tokens expert experts layer layers parameter parameters compute computing processor
    bandwidth performance throughput latency benchmark experiment inference training dense
    sparse window column row index loop array variable condition integer decimal search graph
    node rewrite summary summarise summarize translate correct argument evidence claim customer
    customers shop worker workers farmer teacher student students doctor engineer captain
    journey travel train ship boat bridge station harbour village garden kitchen season harvest
    storm weather cloud clouds flood drought climate carbon electric solar
"""

_FRAGMENTS: Final = """
    ing tion ment ness able ible ould ight ough ever ance ence ious ous ive ate ity ally ers ted
    ter ther ical ists ism ful less ship ward wise ized ising izing ated ating ation ations
    ments ures ure age ant ent est ies ied ial ian ish ory ary ery ular ology th he in er an re
    on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro
    ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr
    ly nc et ut ss so rs un lo wa ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai
    sh ir su id os iv ia am fi ci vi pl ig tu ev ld ry mp fe bl ab gh ty op wo sa ay ex ke fr oo
    av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu rn sc gi da yo cr cl du ga
    qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck ew mu br bi pt ak pu
    ui rg ib tl ny ki rk ys ob mm fu ph og ms ye ud mb ip ub oi rl gu dr hr cc tw ft wn nu af hu
    nn eo vo rv nf xp gn sm fl iz ok nl my gl aw ju oa eq sy sl ps jo lf nv je nk kn gs dy hy ze
    ks xt bs ik dd bj sk fy
"""

WORDS: Final = tuple(_WORDS.split())
FRAGMENTS: Final = tuple(_FRAGMENTS.split())
