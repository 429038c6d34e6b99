"""Frequent words: what a base learns beside its sentences, and what a lexicon may begin with."""

from __future__ import annotations

from typing import Final

_WORDS: Final = """
    a able about above across act add afraid after again against age ago agree air all allow almost alone along
    already also although always am among an and animal another answer any anyone anything appear apple are area arm
    around arrive art as ask at autumn away baby back bad bag ball bank bar base be bear beat beautiful became
    because become bed been before began begin behind being believe below beside best better between big bird bit
    black blood blow blue board boat body bone book born both bottom bought bowl box boy branch bread break
    breakfast bridge bright bring broke brother brought brown build building burn bus business busy but butter buy
    by cake called came can capital captain car card care carry case cat catch caught cause cent centre century
    certain chair chance change charge check cheese chicken chief child children choose church circle city class
    clean clear climb clock close cloth clothes cloud coast coat coffee cold collect colour column come common
    company compare complete condition consider contain continue cook cool copy corn corner correct cost cotton
    could count country couple course cover cow create cross crowd cry current cut dance danger dark day dead deal
    dear death decide deep degree depend describe desert desk detail develop did die difference different difficult
    dinner direct discover dish distant divide do doctor does dog dollar done door double doubt down draw dream
    dress drink drive drop dry due during dust duty each ear early earth ease east easy eat edge effect egg eight
    either electric else end enemy energy engine enjoy enough enter equal even evening event ever every everyone
    exact example except excite exercise expect explain eye face fact fair fall family famous far farm fast fat
    father favourite fear feed feel feet fell felt few field fight figure fill final find fine finger finish fire
    first fish fit five flat floor flow flower fly follow food foot for force foreign forest forget form forward
    found four free fresh friend from front fruit full fun game garden gas gather gave general gentle get girl give
    glad glass go goal gold gone good got govern grand grass great green grew ground group grow guess guide had hair
    half hall hand happen happy hard has hat have he head hear heard heart heat heavy held help her here high hill
    him his history hit hold hole holiday home hope horse hot hotel hour house how huge human hundred hunt hurry ice
    idea if imagine in inch include indeed industry inside instead interest invent iron is island it job join joy
    judge jump just keep kept key kill kind king kitchen knee knew knife know known lady lake land language large
    last late laugh law lay lead learn least leave led left leg length less let letter level lie life lift light
    like line list listen little live local long look lose lost lot loud love low luck lunch machine made main major
    make man many map march mark market mass master match material matter may maybe me mean measure meat meet men
    message metal middle might mile milk million mind mine minute miss modern moment money month moon more morning
    most mother motion mountain mouth move much multiply music must my name narrow nation natural nature near
    necessary neck need neighbour never new news next nice night nine no noise none noon nor north nose not note
    nothing notice now number object observe ocean of off offer office often oil old on once one only open opposite
    or orange order other ought our out over own oxygen page paint pair paper paragraph parent park part party pass
    past path pattern pay people perhaps period person phone phrase pick picture piece place plain plan plane planet
    plant plate play please plenty pocket poem point poor position possible post pound power practice prepare
    present press pretty price print probable problem process produce product proper protect prove provide public
    pull push put quarter queen question quick quiet quite race radio rail rain raise ran range rather reach read
    ready real reason receive record red region remember remove repeat reply report represent require rest result
    return rich ride right ring rise river road rock roll room root rope rose round row rule run sad safe said sail
    salt same sand sat save saw say scale school science score sea search season seat second section see seed seem
    seen select self sell send sense sent sentence separate serve set seven several shade shall shape share sharp
    she sheet shine ship shirt shoe shop shore short should shoulder shout show shut sick side sight sign silent
    silver similar simple since sing single sister sit six size skin sky sleep slip slow small smell smile snow so
    soft soil soldier solution solve some someone something son song soon sorry sound south space speak special
    speech speed spell spend spoke spot spread spring square stand star start state station stay steam steel step
    stick still stone stood stop store storm story straight strange street stretch string strong student study
    subject success such sudden sugar suggest suit summer sun supper supply support sure surface surprise sweet swim
    symbol system table tail take talk tall tea teach team teeth tell temperature ten term test than thank that the
    their them then there these they thick thin thing think third this those though thought thousand three through
    throw thus tie time tiny tired to together told tomorrow tone tonight too took tool top total touch toward town
    track trade train travel tree triangle trip trouble truck true try tube turn twelve twenty two type under
    understand unit until up upon us use usual valley value various very view village visit voice volume vowel wait
    walk wall want war warm was wash watch water wave way we wear weather week weight well went were west what wheel
    when where whether which while white who whole whose why wide wife wild will win wind window wing winter wire
    wish with woman women wonder wood word work world worry worth would write wrong wrote yard year yellow yes
    yesterday yet you young your zero
"""

COMMON_WORDS: Final = tuple(_WORDS.split())
"""Frequent English words in alphabetical order."""
